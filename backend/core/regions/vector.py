"""Vectors: a line through `vertices` in percent, straight or curved; a closed one is an outline.

Source: the editor of Label Studio 1.23.2, its vector region and KonvaVector. Each vertex names the one before
it (`prevPointId`); a line is closed where `closed` says so, or where its first vertex names its last. Between
two vertices runs a cubic Bézier curve if one of them has a control point on that side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import ImageSize
from backend.core.regions.kind import FoundObject, RegionKind, Teaches, Value
from backend.core.regions.outlines import Corners
from backend.core.regions.polygon import MAX_POINTS, PolygonShape, outline_pct
from backend.core.regions.unusable import UnusableRegion
from backend.core.regions.values import read_number

CURVE_STEPS = 16
FREE_END_SHARE = 0.3
"""How far along its chord a curve's end without a control point is pulled. Source: KonvaVector."""

Vertex = Mapping[str, Any]


def _read(value: Value, recorded_size: ImageSize | None) -> PolygonShape:
    vertices = value.get("vertices")
    if not isinstance(vertices, list) or not all(isinstance(vertex, Mapping) for vertex in vertices):
        raise UnusableRegion("bad_geometry")
    if not vertices or len(vertices) > MAX_POINTS:
        raise UnusableRegion("bad_geometry")
    ring = _ring(vertices, is_closed=value.get("closed") is True)
    corners = np.array([_place(vertex) for vertex in ring], dtype=np.float64)
    if len(ring) < 2:
        raise UnusableRegion("bad_geometry")
    outline = [_side(ring[k - 1], ring[k], corners[k - 1], corners[k]) for k in range(len(ring))]
    points = np.concatenate(outline)
    if not 3 <= len(points) <= MAX_POINTS:
        raise UnusableRegion("bad_geometry")
    return PolygonShape(points)


def _ring(vertices: Sequence[Vertex], *, is_closed: bool) -> list[Vertex]:
    """Return the vertices in the order in which the line runs. Raises UnusableRegion if it is open.

    Without the names of those before them they run as they stand. A line with branches is open.
    """
    by_name = {name: vertex for vertex in vertices if isinstance(name := vertex.get("id"), str)}
    before = {name: _known(vertex.get("prevPointId"), by_name) for name, vertex in by_name.items()}
    if len(by_name) < len(vertices) or not any(before.values()):
        if not is_closed:
            raise UnusableRegion("open_line")
        return list(vertices)
    followed = set(before.values())
    ends = [name for name in before if name not in followed]
    if ends and not is_closed:
        raise UnusableRegion("open_line")
    ring: dict[str, Vertex] = {}
    at: str | None = ends[0] if ends else next(iter(by_name))
    while at is not None and at not in ring:
        ring[at] = by_name[at]
        at = before[at]
    if len(ring) < len(vertices):
        raise UnusableRegion("open_line")
    return list(reversed(ring.values()))


def _known(name: Any, by_name: Mapping[str, Vertex]) -> str | None:
    return name if isinstance(name, str) and name in by_name else None


def _place(point: Any) -> tuple[float, float]:
    if not isinstance(point, Mapping):
        raise UnusableRegion("bad_geometry")
    return read_number(point, "x"), read_number(point, "y")


def _side(start: Vertex, end: Vertex, start_pct: Corners, end_pct: Corners) -> npt.NDArray[np.float64]:
    """Return the points of a side behind its start, float64 [N, 2]: its end, or CURVE_STEPS along a curve."""
    leaving = start.get("controlPoint2") if start.get("isBezier") else None
    arriving = end.get("controlPoint1") if end.get("isBezier") else None
    if not leaving and not arriving:
        return end_pct[None]
    chord = end_pct - start_pct
    first = np.array(_place(leaving)) if leaving else start_pct + FREE_END_SHARE * chord
    second = np.array(_place(arriving)) if arriving else end_pct - FREE_END_SHARE * chord
    t = np.linspace(0, 1, CURVE_STEPS + 1)[1:, None]
    curve: npt.NDArray[np.float64] = (
        (1 - t) ** 3 * start_pct + 3 * (1 - t) ** 2 * t * first + 3 * (1 - t) * t**2 * second + t**3 * end_pct
    )
    return curve


def _write(found: FoundObject) -> dict[str, Any] | None:
    """Return the outline of the mask as a closed line: its first vertex names its last."""
    if found.mask is None:
        return None
    points = outline_pct(found.mask, found.size)
    names = [f"point-{number}" for number in range(len(points))]
    befores = [names[-1], *(before for before, _ in pairwise(names))]
    vertices = [
        {"id": name, "prevPointId": before, "x": x, "y": y, "isBezier": False}
        for name, before, (x, y) in zip(names, befores, points, strict=True)
    ]
    return {"vertices": vertices, "closed": True}


def _lack(attributes: Mapping[str, str]) -> str | None:
    if attributes.get("closable", "").strip().lower() == "true":
        return None
    return 'without closable="true" annotators can draw only open lines, which are not learned'


VECTOR = RegionKind(
    name="vector",
    title="Vector",
    plural="vectors",
    has_fields=lambda value: "vertices" in value,
    geometry_fields=("vertices", "closed"),
    read=_read,
    write=_write,
    teaches=Teaches.MASK,
    check_text="closed lines are predicted as outlines; open lines are not learned",
    needs_mask=True,
    lack=_lack,
)
