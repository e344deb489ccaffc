"""Predictions that were computed and could not be delivered, kept until Label Studio takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.service.ports import Json

KEPT = "kept/"
_TRY_AFTER_S, _TRY_AFTER_MOST_S = 30.0, 3600.0


@dataclass(frozen=True)
class KeptPredictions:
    """What one job keeps. kept_at: seconds since the epoch. failures: how often it could not deliver."""

    predictions: tuple[Json, ...]
    kept_at: float
    failures: int = 1

    def is_due(self, now: float) -> bool:
        """Tell whether to try again: 30 s after the first failure, then after twice as long each time."""
        wait_s = _TRY_AFTER_S * 2.0 ** (min(self.failures, 20) - 1)
        return now - self.kept_at >= min(wait_s, _TRY_AFTER_MOST_S)

    def as_document(self) -> Json:
        """Return the document that `from_document` reads."""
        return {"predictions": list(self.predictions), "kept_at": self.kept_at, "failures": self.failures}

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> KeptPredictions:
        """Read a stored document."""
        return cls(tuple(document["predictions"]), float(document["kept_at"]), int(document["failures"]))


def kept_path(key: str, job_id: str) -> str:
    """Return where a job of a project keeps its predictions."""
    return f"{KEPT}{key}/{job_id}.json"
