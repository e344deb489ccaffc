"""What a person does with the predictions of one task: ask, accept, take that back, clear.

We hold a prediction that is asked for here, since it goes down to a score of 0.10. One that Label Studio
stores (from a background prediction, say) is shown as it is. Whoever accepts names exactly what was on the
screen, and is refused if any of it is no longer true.
"""

from __future__ import annotations

import hashlib
import json
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from backend.errors import ConflictError, NotFoundError, RequestError
from backend.service.engine.loaded_versions import LoadedVersions
from backend.service.panel.held_predictions import HeldPredictions
from backend.service.ports import DocumentStore, Json, LabelStudio
from backend.service.projects.connections import Connections
from backend.service.projects.task_index import TaskIndex

logger = logging.getLogger(__name__)

SHOWN_FROM_SCORE = 0.10
UNDO_S = 600.0
_STRIPES = 64

Predict = Callable[[str, Json, float], Json | None]
"""(project key, task, lowest score) -> {result, score, model_version}, None while there is no model."""


class Review:
    """The predictions and annotations of single tasks; safe to share between threads."""

    def __init__(
        self,
        *,
        held: HeldPredictions,
        documents: DocumentStore,
        connections: Connections,
        versions: LoadedVersions,
        predict: Predict,
        index: TaskIndex,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._held = held
        self._documents = documents
        self._connections = connections
        self._predict = predict
        self._versions = versions
        self._index = index
        self._clock = clock
        self._locks = [threading.Lock() for _ in range(_STRIPES)]

    def view(self, key: str, task_id: int) -> Json:
        """Return what is drawn for a task: its pages, its annotations, the prediction to look at."""
        row = self._index.row(key, task_id)
        label_studio = self._connections.label_studio(key)
        annotations = label_studio.annotations(task_id)
        prediction = self._newest_prediction(key, task_id, label_studio)
        accepted = self._documents.read(_accepted_path(key, task_id))
        ids = {int(annotation["id"]) for annotation in annotations}
        if accepted is not None and accepted["annotation_id"] not in ids:
            accepted = None
        return {
            "task_id": task_id,
            "name": row.name,
            "pages": [
                {"page": number, "image_tag": page.image_tag, "item_index": page.item_index}
                for number, page in enumerate(row.pages)
            ],
            "annotations": [_annotation_view(annotation) for annotation in annotations],
            "prediction": prediction and self._prediction_view(key, prediction, accepted),
            "undo": None if accepted is None else self._undo_view(accepted),
        }

    def predict(self, key: str, task_id: int) -> Json:
        """Predict the task now, from a score of 0.10 up, and hold the result.

        Raises ConflictError without a model.
        """
        row = self._index.row(key, task_id)
        answer = self._predict(key, {"id": task_id, "data": row.data}, SHOWN_FROM_SCORE)
        if answer is None:
            raise ConflictError("there is no trained model yet; train one first, then predict")
        document = {
            "prediction_id": f"panel-{uuid.uuid4().hex[:12]}",
            "task_id": task_id,
            "model_version": str(answer["model_version"]),
            "score": float(answer.get("score") or 0.0),
            "result": answer["result"],
            "created_at": self._clock(),
        }
        self._held.write(key, task_id, document)
        score = document["score"]
        self._index.change(key, task_id, lambda row: replace(row, predicted_by="current", score=score))
        return self.view(key, task_id)

    def accept(
        self,
        key: str,
        task_id: int,
        *,
        prediction_id: str,
        model_version: str,
        region_ids: Sequence[str] | None = None,
        confidence_threshold: float | None = None,
        annotation_ids: Sequence[int] = (),
    ) -> Json:
        """Make an annotation of the named regions, or of all from a score up, and return its id.

        annotation_ids: those the caller saw on the task. Raises ConflictError if the prediction, the
        version or the annotations are no longer what the caller saw.
        """
        with self._lock_of(key, task_id):
            label_studio = self._connections.label_studio(key)
            prediction = self._newest_prediction(key, task_id, label_studio)
            self._check_unchanged(key, prediction, prediction_id, model_version)
            assert prediction is not None
            regions = _chosen_regions(prediction, region_ids, confidence_threshold)
            seen = set(annotation_ids)
            _check_no_other(label_studio.annotations(task_id), seen, task_id)
            annotation = label_studio.create_annotation(
                task_id, [{**region, "origin": "prediction"} for region in regions], **_parent(prediction)
            )
            annotation_id = int(annotation["id"])
            self._check_was_first(label_studio, task_id, annotation_id, seen)
            accepted = {
                "annotation_id": annotation_id,
                "task_id": task_id,
                "prediction_id": prediction_id,
                "held": None if "label_studio_id" in prediction else prediction,
                "fingerprint": _fingerprint(annotation),
                "accepted_at": self._clock(),
            }
            self._documents.write(_accepted_path(key, task_id), accepted)
            self._count_annotations(key, task_id, label_studio)
        logger.info(
            "project %s: task %s: %d regions accepted as %s", key, task_id, len(regions), annotation_id
        )
        return {"regions": len({str(region.get("id")) for region in regions}), **self._undo_view(accepted)}

    def undo_accept(self, key: str, task_id: int) -> Json:
        """Delete the annotation that the last accept made. Raises ConflictError: edited, or too late."""
        with self._lock_of(key, task_id):
            accepted = self._documents.read(_accepted_path(key, task_id))
            if accepted is None:
                raise NotFoundError(f"nothing was accepted for task {task_id}, so there is nothing to undo")
            if self._clock() - float(accepted["accepted_at"]) > UNDO_S:
                raise ConflictError(
                    f"accepting can be undone for {UNDO_S / 60:.0f} minutes; delete the annotation in "
                    "Label Studio"
                )
            label_studio = self._connections.label_studio(key)
            by_id = {int(item["id"]): item for item in label_studio.annotations(task_id)}
            annotation = by_id.get(accepted["annotation_id"])
            if annotation is not None:
                if _fingerprint(annotation) != accepted["fingerprint"]:
                    raise ConflictError(
                        "the annotation was edited since; delete it in Label Studio if it must go"
                    )
                label_studio.delete_annotation(accepted["annotation_id"])
            self._documents.delete(_accepted_path(key, task_id))
            self._count_annotations(key, task_id, label_studio)
        return self.view(key, task_id)

    def clear(self, key: str, task_id: int) -> Json:
        """Remove every prediction of the task, here and in Label Studio; return how many there were."""
        with self._lock_of(key, task_id):
            label_studio = self._connections.label_studio(key)
            stored = [int(prediction["id"]) for prediction in label_studio.predictions(task_id)]
            label_studio.delete_predictions(stored)
            held = self._held.delete(key, task_id)
            self._index.change(
                key, task_id, lambda row: replace(row, predictions=0, predicted_by="", score=None)
            )
        return {"cleared": len(stored) + int(held)}

    def _newest_prediction(self, key: str, task_id: int, label_studio: LabelStudio) -> Json | None:
        """Return ours or Label Studio's: the serving version goes first, then the newer one."""
        candidates: list[Json] = []
        for stored in label_studio.predictions(task_id):
            candidates.append(
                {
                    "prediction_id": f"label-studio-{stored['id']}",
                    "label_studio_id": int(stored["id"]),
                    "task_id": task_id,
                    "model_version": str(stored.get("model_version") or ""),
                    "score": stored.get("score"),
                    "result": list(stored.get("result") or ()),
                    "created_at": stored.get("created_at"),
                }
            )
        candidates.sort(key=lambda prediction: prediction["label_studio_id"])
        held = self._held.read(key, task_id)
        if held is not None:
            candidates.append(held)
        serving = self._versions.serving(key)
        return max(
            enumerate(candidates),
            key=lambda numbered: (numbered[1]["model_version"] == serving, numbered[0]),
            default=(0, None),
        )[1]

    def _prediction_view(self, key: str, prediction: Json, accepted: Json | None) -> Json:
        is_accepted = accepted is not None and accepted["prediction_id"] == prediction["prediction_id"]
        return {
            "prediction_id": prediction["prediction_id"],
            "model_version": prediction["model_version"],
            "is_current_version": prediction["model_version"] == self._versions.serving(key),
            "is_stored_in_label_studio": "label_studio_id" in prediction,
            "is_accepted": is_accepted,
            "score": prediction["score"],
            "result": prediction["result"],
        }

    def _check_unchanged(self, key: str, prediction: Json | None, prediction_id: str, version: str) -> None:
        if prediction is None:
            raise ConflictError("the predictions of this image were cleared meanwhile; predict again")
        if prediction["prediction_id"] != prediction_id or prediction["model_version"] != version:
            raise ConflictError(
                f"the predictions changed: shown were {prediction_id} of version {version}, now there are "
                f"{prediction['prediction_id']} of {prediction['model_version']}; look at them, then accept"
            )
        serving = self._versions.serving(key)
        if serving != version:
            raise ConflictError(
                f"version {serving or 'none'} serves now, the predictions shown are of {version}; "
                "predict again"
            )
        accepted = self._documents.read(_accepted_path(key, int(prediction["task_id"])))
        if accepted is not None and accepted["prediction_id"] == prediction_id:
            label_studio = self._connections.label_studio(key)
            ids = {int(item["id"]) for item in label_studio.annotations(int(prediction["task_id"]))}
            if accepted["annotation_id"] in ids:
                raise ConflictError("these predictions are accepted already; undo that first")

    def _check_was_first(
        self, label_studio: LabelStudio, task_id: int, annotation_id: int, seen: set[int]
    ) -> None:
        """Take ours back if somebody else's annotation slipped in between the check and the creation."""
        others = {int(item["id"]) for item in label_studio.annotations(task_id)} - seen - {annotation_id}
        if any(other < annotation_id for other in others):
            label_studio.delete_annotation(annotation_id)
            raise _other_annotation(task_id, others)

    def _count_annotations(self, key: str, task_id: int, label_studio: LabelStudio) -> None:
        kept = [item for item in label_studio.annotations(task_id) if not item.get("was_cancelled")]
        self._index.change(key, task_id, lambda row: replace(row, annotations=len(kept)))

    def _undo_view(self, accepted: Json) -> Json:
        left = float(accepted["accepted_at"]) + UNDO_S - self._clock()
        return {"annotation_id": accepted["annotation_id"], "undo_seconds_left": max(0.0, round(left, 1))}

    def _lock_of(self, key: str, task_id: int) -> threading.Lock:
        return self._locks[hash((key, task_id)) % _STRIPES]


def _chosen_regions(
    prediction: Json, region_ids: Sequence[str] | None, confidence_threshold: float | None
) -> list[Json]:
    """Return the results to accept; a region of plain tags is two results with one id, and both go along."""
    results = prediction["result"]
    known = {str(region.get("id")) for region in results}
    if region_ids is None:
        if confidence_threshold is None:
            raise RequestError(
                "name the regions in region_ids, or give a confidence_threshold", field="region_ids"
            )
        region_ids = [str(region.get("id")) for region in results if _score(region) >= confidence_threshold]
    missing = set(region_ids) - known
    if missing:
        raise ConflictError(
            f"{len(missing)} of the regions shown are not in the prediction any more; predict again"
        )
    if not region_ids:
        raise RequestError("no region is left to accept; lower the confidence threshold", field="region_ids")
    chosen = set(region_ids)
    return [region for region in results if str(region.get("id")) in chosen]


def _score(region: Mapping[str, Any]) -> float:
    # A region without a score (imported predictions have none) always passes, as it is always drawn.
    score = region.get("score")
    return 1.0 if score is None else float(score)


def _check_no_other(annotations: Sequence[Json], seen: set[int], task_id: int) -> None:
    others = {int(annotation["id"]) for annotation in annotations} - seen
    if others:
        raise _other_annotation(task_id, others)


def _other_annotation(task_id: int, others: set[int]) -> ConflictError:
    listed = ", ".join(map(str, sorted(others)))
    return ConflictError(f"task {task_id} got an annotation meanwhile ({listed}); look at it, then accept")


def _fingerprint(annotation: Json) -> str:
    """Return a digest of an annotation's regions, to tell later whether somebody edited it."""
    text = json.dumps(annotation.get("result"), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _parent(prediction: Json) -> Json:
    return {"parent_prediction": prediction["label_studio_id"]} if "label_studio_id" in prediction else {}


def _annotation_view(annotation: Json) -> Json:
    return {
        "annotation_id": int(annotation["id"]),
        "was_cancelled": bool(annotation.get("was_cancelled")),
        "created_at": annotation.get("created_at"),
        "result": list(annotation.get("result") or ()),
    }


def _accepted_path(key: str, task_id: int) -> str:
    return f"panel/{key}/accepted/{task_id}.json"
