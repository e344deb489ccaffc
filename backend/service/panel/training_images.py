"""The images a project could train on, each with its state in the backend's cache."""

from __future__ import annotations

from backend.errors import RequestError
from backend.service.ports import ImageSource, Json
from backend.service.projects.connections import Connections
from backend.service.projects.task_index import LARGEST_WINDOW, TaskIndex, TaskRow

LOADED, NOT_LOADED, UNLABELLED = "loaded", "not_loaded", "unlabelled"


def training_images(
    index: TaskIndex, images: ImageSource, connections: Connections, key: str, offset: int, limit: int
) -> Json:
    """Return a part of the images in order of task id, and how many there are of each state.

    loaded: labelled, and in the cache; not_loaded: labelled, fetched before training; unlabelled: no labels.
    """
    if offset < 0 or not 1 <= limit <= LARGEST_WINDOW:
        raise RequestError(f"offset must be 0 or more and limit 1 to {LARGEST_WINDOW}", field="limit")
    rows, is_complete = index.rows(key)
    access = connections.image_access(key)

    def state_of(row: TaskRow) -> str:
        if not row.is_annotated:
            return UNLABELLED
        loaded = bool(row.pages) and all(images.is_cached(page.reference, access) for page in row.pages)
        return LOADED if loaded else NOT_LOADED

    states = [state_of(row) for row in rows]
    return {
        "images": [
            {"task_id": row.task_id, "name": row.name, "annotations": row.annotations, "state": state}
            for row, state in zip(rows[offset : offset + limit], states[offset : offset + limit], strict=True)
        ],
        "offset": offset,
        "total": len(rows),
        "counts": {name: states.count(name) for name in (LOADED, NOT_LOADED, UNLABELLED)},
        "is_complete": is_complete,
    }
