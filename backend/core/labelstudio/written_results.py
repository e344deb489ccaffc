"""What results have in common as they are written: ids, scores, and answers that repeat a region's place."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from backend.core.regions.kind import RegionKind

ID_LENGTH = 10
ID_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
DECIMALS_SCORE = 5

Json = dict[str, Any]


def new_region_id(rng: np.random.Generator) -> str:
    """Return a fresh region id of 10 letters and digits, as long as the editor's own."""
    return "".join(ID_ALPHABET[k] for k in rng.integers(len(ID_ALPHABET), size=ID_LENGTH).tolist())


def rounded_score(score: float) -> float:
    """Return a score as results have it: a number from 0 to 1."""
    return round(min(max(float(score), 0.0), 1.0), DECIMALS_SCORE) if math.isfinite(score) else 0.0


def said_of_region(
    drawn: Mapping[str, Any], kind: RegionKind, name: str, type_: str, value: Mapping[str, Any]
) -> Json:
    """Return a result that says something of a region: with its id, its place and its geometry.

    drawn: the result that draws the region. name, type_: of the control tag that takes what is said. A
    geometry's bulky field is not repeated.

    Source of the format: Label Studio 1.23, whose editor writes answers about regions so.
    """
    place = {key: field for key, field in drawn.items() if key not in ("type", "from_name", "value")}
    geometry = {
        key: field for key, field in drawn["value"].items() if key not in (kind.labels_tag, kind.bulky_field)
    }
    return {**place, "type": type_, "from_name": name, "value": {**geometry, **value}}
