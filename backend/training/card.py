"""The card of a version: what a reader should know of the training it came from."""

from __future__ import annotations

from typing import Any

from backend.core.versions.card import VersionCard
from backend.nn.detector.predictor import MIRRORED_VIEW
from backend.nn.detector.tiles import MOST_LABELLED, TILES
from backend.training.detector.images import LoadedImages, count_labels
from backend.training.detector.loop import LearningData, LoopResult, TrainingLoop
from backend.training.detector.start_weights import Start
from backend.training.inputs import TrainingInputs
from backend.training.judging.calibration import OBJECTS_MIN, FittedTo
from backend.training.verdict import Verdict


def training_card(
    inputs: TrainingInputs,
    loaded: LoadedImages,
    start: Start,
    loop: TrainingLoop,
    result: LoopResult,
    verdict: Verdict,
) -> VersionCard:
    """Return what a version says of the training that `loop` ended with `result`.

    Among its facts `training_seconds` are seconds of the clock, and `best_epoch` and the epochs of `history`
    count from 1.
    """
    data = loop.data
    counts = count_labels([*data.learned, *data.held_out], len(inputs.labels))
    facts: dict[str, Any] = {
        "architecture": loop.network.architecture.as_card(),
        TILES: loaded.tiles.as_card(),
        MOST_LABELLED: loop.most_labelled,
        MIRRORED_VIEW: loop.mirrored_view,
        **_readings(loop, verdict),
        "enable_detection": inputs.params.enable_detection,
        "enable_segmentation": inputs.params.enable_segmentation,
        "recipe": loop.plan.as_card(),
        "start": start.origin,
        "training_images": len(result.learned),
        "late_images": len(data.late),
        "held_out_images": len(data.held_out),
        "unreadable_images": len(loaded.failures),
        "regions_by_label": {label: int(n) for label, n in zip(inputs.labels, counts, strict=True)},
        "images_seen": result.images_seen,
        "epochs_run": result.epochs_run,
        "best_epoch": result.best_epoch + 1,
        "batch_size": result.batch_size,
        "stopped_early_by": result.stopped_early_by,
        "training_seconds": round(result.seconds, 1),
        "history": [{k: round(float(v), 4) for k, v in row.items()} for row in result.history],
        "seed": inputs.seed,
    }
    held_out = {image.source.task_id for image in data.held_out if image.source is not None}
    return VersionCard(
        labels=inputs.labels,
        params=inputs.params.as_dict(),
        metrics=verdict.metrics,
        per_class=verdict.by_label,
        evaluation=verdict.evaluation,
        held_out_tasks=tuple(sorted(held_out)),
        is_held_out_of_start=True,
        warnings=(
            *([start.warning] if start.warning else []),
            *notes_of(data, result, verdict.fitted_to, has_known=bool(inputs.known_tasks)),
            *loop.state.warnings,
        ),
        facts=facts,
    )


def _readings(loop: TrainingLoop, verdict: Verdict) -> dict[str, Any]:
    """Return the entries of all heads; each has names of its own."""
    entries: dict[str, Any] = {}
    for head in loop.heads:
        mine = head.card_entries(verdict.readings[head.name])
        assert not entries.keys() & mine.keys(), f"{head.name} writes what another head has written"
        entries.update(mine)
    return entries


def notes_of(
    data: LearningData, result: LoopResult, fitted_to: FittedTo | None, *, has_known: bool = False
) -> list[str]:
    """Return what a reader of the card should know of the images behind its scores.

    has_known: the version that it started from had learned from some of them.
    """
    notes = []
    unseen = len(data.learned) - len(result.learned)
    if unseen:
        notes.append(f"stopped before {unseen} images joined: they were not learned from")
    elif not data.held_out:
        new = " that the version it started from has not learned from" if has_known else ""
        notes.append(f"too few images{new} to hold any back: all were learned from")
    new_objects = sum(len(image.target) for image in data.held_out)
    if fitted_to is FittedTo.HELD_OUT and new_objects < OBJECTS_MIN:
        notes.append(
            f"only {new_objects} labelled objects are held back: scores are fitted to them and, above all, "
            "to images that were learned from, which flatters"
        )
    elif fitted_to is FittedTo.LEARNED:
        notes.append("scores are fitted to images that were learned from, which flatters")
    elif fitted_to is FittedTo.LEARNED_AND_LATE:
        notes.append(
            "scores are fitted to images that were learned from and to what was said of "
            f"{len(data.late)} while they were new"
        )
    elif fitted_to is FittedTo.NOTHING:
        notes.append("too little was found to fit scores to: they mean what is expected of any network's")
    return notes
