"""Draw what the untaught smart tool takes for the object at one click, on pictures of any kind.

    python -m benchmarks.cold_prompts --out sheet.png photo.jpg:50,40 cells.png:31.5,62

A click is given as PICTURE:X,Y, in percent of the picture. Writes one sheet: each picture around its answer,
the click as a cross and the mask outlined; prints the share of the picture that each mask covers. For looking
at, not for counting: `benchmarks/coldstart_clicks.py` counts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np

from backend.core.geometry.instances import ImageSize
from backend.nn.prompts.segmenter import load_segmenter
from benchmarks.coldstart_clicks import in_process, keypoint

TILE_PX = 360
COLUMNS = 5
OUTLINE_BGR, CROSS_BGR = (80, 255, 80), (60, 60, 255)


def drawn(path: Path, mask: np.ndarray | None, x: float, y: float) -> np.ndarray:
    """Return a square tile: the picture around the mask and the click, both drawn."""
    picture = cv2.imread(str(path))
    assert picture is not None
    height, width = picture.shape[:2]
    rows, columns = np.nonzero(mask) if mask is not None and mask.any() else (np.array([y]), np.array([x]))
    half = max(np.ptp(rows), np.ptp(columns), min(height, width) / 4) * 0.75
    middle = ((columns.max() + columns.min()) / 2, (rows.max() + rows.min()) / 2)
    left, top = (int(max(0, at - half)) for at in middle)
    right, bottom = int(min(width, middle[0] + half)), int(min(height, middle[1] + half))
    scale = TILE_PX / max(right - left, bottom - top)
    tile = cv2.resize(picture[top:bottom, left:right], None, fx=scale, fy=scale)
    if mask is not None:
        part = mask[top:bottom, left:right].astype(np.uint8)
        part = cv2.resize(part, (tile.shape[1], tile.shape[0]), interpolation=cv2.INTER_NEAREST)
        lines, _ = cv2.findContours(part, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(tile, lines, -1, OUTLINE_BGR, 2)
    at = (int((x - left) * scale), int((y - top) * scale))
    cv2.drawMarker(tile, at, CROSS_BGR, cv2.MARKER_CROSS, 18, 3)
    out = np.full((TILE_PX, TILE_PX, 3), 40, np.uint8)
    out[: tile.shape[0], : tile.shape[1]] = tile[:TILE_PX, :TILE_PX]
    return out


def main() -> None:
    """Answer each click, and write the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("clicks", nargs="+", metavar="PICTURE:X,Y")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    segmenter = load_segmenter(None)
    tiles = []
    for click in options.clicks:
        name, _, place = click.rpartition(":")
        picture = cv2.imread(name)
        if picture is None:
            parser.error(f"{name} is no picture")
        size = ImageSize(picture.shape[1], picture.shape[0])
        x, y = (
            float(v) / 100 * side for v, side in zip(place.split(","), (size.width, size.height), strict=True)
        )
        mask = in_process(Path(name), segmenter)([keypoint(0, x, y, True, size)])
        share = 0.0 if mask is None else float(mask.mean())
        print(f"{name} at {place}: {100 * share:.2f} % of the picture")
        tiles.append(drawn(Path(name), mask, x, y))
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    rows = [np.hstack(tiles[k : k + COLUMNS]) for k in range(0, len(tiles), COLUMNS)]
    cv2.imwrite(str(options.out), np.vstack(rows))


if __name__ == "__main__":
    main()
