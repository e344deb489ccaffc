"""Tasks out of the files that Label Studio and its users write, or a sentence that says what a file is.

Source: Label Studio 1.23's exporters; `completions` is what its releases before 1.0 wrote.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from backend.errors import AnnotationError

Json = dict[str, Any]
WAY_OUT = "in Label Studio choose Export, then JSON, and give that file"
_NO_TASKS = frozenset({"notes.json"})  # beside the label files of a YOLO export
_MIN_FIELDS = frozenset({"annotation_id", "annotator", "lead_time", "created_at", "updated_at"})
_TASK_FIELDS = frozenset({"data", "annotations", "completions", "predictions"})


def read_tasks(content: bytes) -> list[Json]:
    """Return the tasks of a file: JSON (a list, one task, a page of the API, a task a line) or a zip of JSON.

    A byte order mark says the encoding, UTF-8 is taken without. Raises AnnotationError, which names the
    format where it is a known one.
    """
    return _tasks_of_zip(content) if content.startswith(b"PK") else _tasks_of_text(content)


def task_of(entry: Any) -> Json:
    """Return an entry of such a file as a task with `data` and `annotations`, as Label Studio 1.23 writes it.

    Read as well: `completions`, an annotation that holds its task (a target storage writes these), and plain
    data without `data` around it, which Label Studio imports too. Raises AnnotationError.
    """
    if not isinstance(entry, Mapping):
        raise AnnotationError(f"a task must be an object, got {type(entry).__name__}; {WAY_OUT}")
    if isinstance(entry.get("result"), list) and isinstance(entry.get("task"), Mapping):
        annotation = {name: value for name, value in entry.items() if name != "task"}
        entry = {**entry["task"], "annotations": [annotation]}
    other = format_of(entry)
    if other is not None:
        raise AnnotationError(f"this looks like {other}; {WAY_OUT}")
    if not _TASK_FIELDS & entry.keys():
        return {"data": dict(entry)}
    old = entry.get("completions")
    if "annotations" in entry or not isinstance(old, list):
        return dict(entry)
    others = {name: value for name, value in entry.items() if name != "completions"}
    return {**others, "annotations": [_annotation(completion) for completion in old]}


def format_of(entry: Mapping[str, Any]) -> str | None:
    """Return the name of the format that an object is of, if that is a known one and no task."""
    if isinstance(entry.get("images"), list) and isinstance(entry.get("annotations"), list):
        return "COCO"
    if isinstance(entry.get("data"), Mapping):
        return None
    if "_via_img_metadata" in entry or "file_attributes" in entry:
        return "VIA"
    if "imagePath" in entry and isinstance(entry.get("shapes"), list):
        return "LabelMe or X-AnyLabeling"
    if _MIN_FIELDS & entry.keys() and not _TASK_FIELDS & entry.keys():
        return "Label Studio's JSON_MIN"
    if entry.get("type") in ("Feature", "FeatureCollection"):
        return "GeoJSON"
    return None


def _annotation(completion: Any) -> Any:
    """Return an annotation of an old release as those of today are: the time as text, skips as cancelled."""
    if not isinstance(completion, Mapping):
        return completion
    annotation = dict(completion)
    created_at = completion.get("created_at")
    if isinstance(created_at, int | float) and 0 <= created_at < 1e11:
        annotation["created_at"] = datetime.fromtimestamp(created_at, timezone.utc).isoformat()
    if completion.get("skipped"):
        annotation["was_cancelled"] = True
    return annotation


def _tasks_of_text(content: bytes) -> list[Json]:
    try:
        text = content.decode(json.detect_encoding(content))
    except UnicodeDecodeError as exc:
        raise AnnotationError(f"this is neither text nor a zip; {WAY_OUT}") from exc
    return [task_of(entry) for entry in _entries(_parse(text))]


def _tasks_of_zip(content: bytes) -> list[Json]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = sorted(name for name in archive.namelist() if not name.endswith("/"))
            files = [name for name in names if _is_json(name)]
            if not files:
                raise AnnotationError(f"the zip holds no JSON but {_kind_of_zip(names)}; {WAY_OUT}")
            return [task for name in files for task in _tasks_of_text(archive.read(name))]
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as exc:
        raise AnnotationError(f"the zip cannot be read: {exc}") from exc


def _is_json(name: str) -> bool:
    *folders, file = name.split("/")
    return file.lower().endswith((".json", ".jsonl")) and file not in _NO_TASKS and "__MACOSX" not in folders


def _kind_of_zip(names: list[str]) -> str:
    if "classes.txt" in names or any(name.startswith("labels/") for name in names):
        return "a YOLO export"
    if any(name.lower().endswith(".xml") for name in names):
        return "a Pascal VOC export"
    return ", ".join(names[:3]) or "nothing"


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        lines = [line for line in text.split("\n") if line.strip()]
        if not lines:
            raise AnnotationError(f"the file is empty; {WAY_OUT}") from exc
        if not lines[0].lstrip().startswith(("{", "[")):
            is_table = any(mark in lines[0] for mark in ",\t")
            raise AnnotationError(f"this is {'CSV or TSV' if is_table else 'no JSON'}; {WAY_OUT}") from exc
        entries = _parse_lines(lines)
        if entries is None:
            raise AnnotationError(f"this is not JSON: {exc}") from exc
        return entries


def _parse_lines(lines: Iterable[str]) -> list[Any] | None:
    try:
        return [json.loads(line) for line in lines]
    except ValueError:
        return None


def _entries(parsed: Any) -> list[Any]:
    if isinstance(parsed, Mapping):
        tasks = parsed.get("tasks")
        return tasks if isinstance(tasks, list) and "data" not in parsed else [parsed]
    if not isinstance(parsed, list):
        raise AnnotationError(f"the file must hold tasks, got {type(parsed).__name__}; {WAY_OUT}")
    return parsed
