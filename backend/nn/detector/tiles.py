"""Large images through a network in views, by what a version's card says of tiles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import MOST_REGIONS, Detections, ImageSize
from backend.core.geometry.tile_joining import joined
from backend.core.geometry.tiling import Tiling

Image = npt.NDArray[np.uint8]

REGIONS_FACTOR = 2
"""An image may have so many times the regions of the fullest labelled one."""
TILES, MOST_LABELLED = "tiles", "most_labelled"
"""Facts of a card: how images are cut, and how many objects or points the fullest labelled image shows."""


def read_tiling(facts: Mapping[str, Any]) -> Tiling | None:
    """Return how the images of a version are cut, by the facts of its card; older versions cut none.

    Raises KeyError, TypeError or ValueError where the card says something else.
    """
    values = (facts.get(TILES) or {}).get("tiling")
    return None if values is None else Tiling.from_card(values)


def regions_bound(most_labelled: int) -> int:
    """Return how many regions an image has at most, by the number in the fullest labelled one."""
    return max(MOST_REGIONS, REGIONS_FACTOR * most_labelled)


def predict_in_views(
    found_in_each: Callable[[Sequence[Image]], Iterable[tuple[int, Detections]]],
    tiling: Tiling,
    images: Sequence[Image],
    *,
    nms_threshold: float,
    max_regions: int,
) -> list[Detections]:
    """Return what is found in each image, uint8 [H, W, 3], cut as the tiling says.

    found_in_each: gives the positions of several images and what is found in each, in any order. The views
    of an image are joined as soon as all of them are known: each may show a hundred masks.
    """
    sizes = [ImageSize(image.shape[1], image.shape[0]) for image in images]
    cuts = [tiling.views_of(size) for size in sizes]
    places = [(number, view) for number, views in enumerate(cuts) for view in range(len(views))]
    tiles = [
        image[y1:y2, x1:x2] for image, views in zip(images, cuts, strict=True) for x1, y1, x2, y2 in views
    ]
    found: dict[int, dict[int, Detections]] = {}
    answers: dict[int, Detections] = {}
    for position, in_view in found_in_each(tiles):
        number, view = places[position]
        in_views = found.setdefault(number, {})
        in_views[view] = in_view
        if len(in_views) == len(cuts[number]):
            del found[number]
            answers[number] = joined(
                sizes[number],
                tiling,
                [in_views[k] for k in range(len(in_views))],
                nms_threshold=nms_threshold,
                max_regions=max_regions,
            )
    return [answers[number] for number in range(len(images))]
