"""What the command line does without a running service: train, predict, and look after versions."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from tqdm import tqdm

from backend.bootstrap.backend import build_backend, with_image_folder
from backend.bootstrap.jobs import build_trainings
from backend.core.labelstudio.exports import read_tasks
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.labelstudio.left_alone import in_words
from backend.errors import (
    AnnotationError,
    LabelConfigError,
    NotReadyError,
    ParameterError,
    RequestError,
    VersionError,
)
from backend.infra.images.folder import FolderImages
from backend.service.backend import Backend
from backend.service.engine.image_predictor import ImagePredictor
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.engine.pipeline import Work
from backend.service.jobs import jobs
from backend.service.jobs.jobs import RunningJob
from backend.service.jobs.left_out import explain_left_out
from backend.service.jobs.local_queue import LocalHold, LocalJob
from backend.service.jobs.report import JobReport, TrainingJobProgress
from backend.service.jobs.requests import JobRequests, write_request
from backend.service.learning.requests import TrainRequest
from backend.service.ports import JobRecord, Json
from backend.service.predicting.answer import config_of, log_untrained_labels
from backend.service.projects.parameters import thresholds, training_params
from backend.settings import Settings

_NAMED_IMAGES = 20
_NAMED_TASKS = 20


def train_on_file(
    settings: Settings,
    tasks_file: Path,
    config_file: Path,
    project: str,
    images: Path | None,
    assignments: Sequence[str],
) -> int:
    """Train on a Label Studio export and print the new version's name; Ctrl-C keeps the best so far."""
    tasks = _read_tasks(tasks_file)
    backend, folder = _backend(settings, images, tasks)
    key = backend.projects.canonical(project)
    params = _parse_assignments(assignments)
    training_params(backend.projects, key, params)
    request = TrainRequest(key, _read_text(config_file), params, tuple(tasks), source="command line")
    with tqdm(desc="starting", unit="image", disable=None) as bar:
        path = write_request(backend.jobs.documents, request.as_document())
        queue = LocalJob(jobs.TRAIN, key, path, lambda record: _show_training(bar, record))
        _stop_on_ctrl_c(queue)
        here = replace(backend, jobs=JobRequests(queue, backend.jobs.documents))
        try:
            outcome = build_trainings(here).run(RunningJob(queue, queue.current, LocalHold()))
        finally:
            _name_unfound(folder)
    for note in _notes(outcome.report):
        print(f"note: {note}", file=sys.stderr)
    for name, value in (outcome.report.metrics or {}).items():
        print(f"{name}: {value:.4g}", file=sys.stderr)
    print(outcome.model_version or outcome.status)
    return 0 if outcome.status == jobs.FINISHED else 1


def _notes(report: JobReport) -> Iterator[str]:
    """Yield what a training wants its user to know, in sentences."""
    yield from report.warnings
    if said := in_words(report.left_alone):
        yield f"not learned, or not all of it: {said}"
    for left_out in explain_left_out(report.unusable or {}, report.left_out_where):
        tasks = f" (tasks {_first_of(left_out['tasks'])})" if left_out["tasks"] else ""
        yield f"{left_out['count']} × {left_out['meaning']}{tasks}. {left_out['next_move']}".rstrip()
    if report.disputed_tasks:
        named = _first_of(report.disputed_tasks)
        yield f"annotators disagree in {report.disputed_tasks_count} of the tasks: {named}"


def _first_of(task_ids: Sequence[int]) -> str:
    named = ", ".join(map(str, task_ids[:_NAMED_TASKS]))
    return f"{named}, …" if len(task_ids) > _NAMED_TASKS else named


def predict_file(
    settings: Settings,
    tasks_file: Path,
    config_file: Path | None,
    project: str,
    images: Path | None,
    *,
    version: str | None,
    confidence_threshold: float | None,
    out: Path | None,
) -> int:
    """Predict every task of a file and write tasks with predictions, as Label Studio imports them."""
    if out is not None and (out.is_dir() or not out.absolute().parent.is_dir()):
        raise RequestError(f"--out must be a file in a folder that is there, got {out}")
    tasks = _read_tasks(tasks_file)
    backend, folder = _backend(settings, images, tasks)
    key = backend.projects.canonical(project)
    config = config_of(backend.projects, key, None if config_file is None else _read_text(config_file))
    predictor = _predictor(backend.models.loaded, key, version, config)
    if predictor is None:
        raise VersionError(f"project {key} has no trained model yet; train it first")
    log_untrained_labels(key, predictor, config)
    wanted = {} if confidence_threshold is None else {"confidence_threshold": confidence_threshold}
    work = Work(
        key,
        config,
        tasks,
        thresholds(backend.projects, key, wanted, config),
        lambda task_id: backend.connections.image_access(key, task_id),
    )
    predictions: list[Json | None] = [None] * len(tasks)
    with tqdm(total=len(tasks), desc="predicting", unit="task", disable=None) as bar:
        for answered in backend.engine.pipeline.run(work, predictor):
            predictions[answered.position] = answered.prediction
            bar.update()
    _name_unfound(folder)
    return _write_predictions(tasks, predictions, out)


def _predictor(
    versions: LoadedVersions, key: str, version: str | None, config: LabelConfig
) -> ImagePredictor | None:
    """Return the predictor of a version (default: what serves), however long its loading takes."""
    if version is not None:
        return versions.predictor_named(key, version, config)
    try:
        return versions.serving_predictor(key, config)
    except NotReadyError as exc:
        return versions.predictor_named(key, exc.version, config)


def show_versions(settings: Settings, project: str | None) -> int:
    """Print the versions of one or all projects, newest first; the serving one is marked."""
    backend = build_backend(settings)
    keys = backend.projects.known() if project is None else [backend.projects.canonical(project)]
    versions = [(key, listed) for key in keys for listed in backend.models.store.list(key)]
    for key, listed in versions:
        card = listed.card
        print(
            f"{'*' if listed.is_current else ' '} {key}  {card.version}  {card.backbone or '?'}  "
            f"{'?' if card.counts is None else card.counts.images} images  {_short_metrics(card.metrics)}"
        )
    if not versions:
        print(f"no versions in {settings.store_location} yet; train one", file=sys.stderr)
    return 0


def change_version(settings: Settings, project: str, version: str, action: str) -> int:
    """Activate or delete a version."""
    backend = build_backend(settings)
    key = backend.projects.canonical(project)
    if action == "activate":
        backend.models.store.activate(key, version)
        backend.models.loaded.announce(key)
        backend.projects.restore(key)
    else:
        backend.models.store.delete(key, version)
    return 0


def export_version(settings: Settings, project: str, version: str | None, target: Path) -> int:
    """Write a version (default: the serving one) as one file and print its path."""
    backend = build_backend(settings)
    key = backend.projects.canonical(project)
    chosen = version or backend.models.loaded.current(key)
    if chosen is None:
        raise VersionError(f"project {key} has no trained model yet; train it first")
    print(backend.models.store.export_file(key, chosen, target))
    return 0


def import_version(settings: Settings, project: str, source: Path, *, activate: bool) -> int:
    """Read a version from an exported file and print its name."""
    backend = build_backend(settings)
    key = backend.projects.canonical(project)
    if not source.is_file():
        raise VersionError(f"there is no file {source}")
    print(backend.models.store.import_file(key, source, activate=activate))
    if activate:
        backend.models.loaded.announce(key)
        backend.projects.restore(key)
    return 0


def _backend(
    settings: Settings, images: Path | None, tasks: Sequence[Json]
) -> tuple[Backend, FolderImages | None]:
    backend = build_backend(settings)
    if images is None:
        return backend, None
    if not images.is_dir():
        raise RequestError(f"--images must be a folder, got {images}")
    return with_image_folder(backend, images, _texts([task.get("data") for task in tasks]))


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in the data of tasks; each may be the reference of an image."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


def _name_unfound(folder: FolderImages | None) -> None:
    unfound = list(folder.unfound.items()) if folder is not None else []
    for _, reason in unfound[:_NAMED_IMAGES]:
        print(f"note: {reason}", file=sys.stderr)
    if len(unfound) > _NAMED_IMAGES:
        print(f"note: {len(unfound) - _NAMED_IMAGES} more images could not be had", file=sys.stderr)


def _read_text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except OSError as exc:
        raise LabelConfigError(f"cannot read {path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise LabelConfigError(f"{path} is not UTF-8 text") from exc


def _read_tasks(path: Path) -> list[Json]:
    try:
        return read_tasks(path.read_bytes())
    except OSError as exc:
        raise RequestError(f"cannot read {path}: {exc.strerror}") from exc
    except AnnotationError as exc:
        raise RequestError(f"{path}: {exc}") from exc


def _parse_assignments(assignments: Iterable[str]) -> Json:
    params: Json = {}
    for assignment in assignments:
        name, sign, text = assignment.partition("=")
        if not sign:
            raise ParameterError(f"--param takes NAME=VALUE, got {assignment!r}", field=name)
        try:
            params[name] = json.loads(text)
        except ValueError:
            params[name] = text
    return params


def _show_training(bar: Any, record: JobRecord) -> None:
    progress = TrainingJobProgress.from_json(record.progress)
    if progress.epochs is not None:
        bar.unit, bar.total, bar.n = "epoch", progress.epochs, progress.epoch
        bar.set_description(f"{progress.step}, loss {progress.loss:.3f}", refresh=False)
    elif progress.images_total is not None:
        bar.total, bar.n = progress.images_total, progress.images
        bar.set_description(progress.step, refresh=False)
    bar.refresh()


def _stop_on_ctrl_c(queue: LocalJob) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        if queue.wanted_stop is not None:
            raise KeyboardInterrupt
        print("stopping; what it has learned so far is kept (again: nothing is kept)", file=sys.stderr)
        queue.wanted_stop = "keep"

    signal.signal(signal.SIGINT, stop)


def _write_predictions(tasks: Sequence[Json], predictions: Sequence[Json | None], out: Path | None) -> int:
    entries = []
    for task, prediction in zip(tasks, predictions, strict=True):
        kept: Json = {name: task[name] for name in ("id", "data", "meta") if name in task}
        entries.append({**kept, "predictions": [] if prediction is None else [prediction]})
    # An export may have halves of surrogate pairs, which no file takes.
    text = json.dumps(entries, ensure_ascii=False).encode(errors="replace").decode()
    if out is None:
        print(text)
    else:
        try:
            out.write_text(text, "utf-8")
        except OSError as exc:
            raise RequestError(f"cannot write {out}: {exc.strerror or exc}") from exc
    missing = sum(prediction is None for prediction in predictions)
    if missing:
        print(f"{missing} of {len(tasks)} tasks have no prediction; the log says why", file=sys.stderr)
    return 0


def _short_metrics(metrics: Mapping[str, float]) -> str:
    return " ".join(f"{name} {value:.3f}" for name, value in list(metrics.items())[:4])
