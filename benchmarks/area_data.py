"""Areas to learn, made from the pictures at hand: `python -m benchmarks.area_data --data DATA --out AREAS`.

Two more sets in the layout of DATA, for every benchmark that takes one (`--data AREAS --set cell-areas`):

cell-areas: blood smears parted into what is stained and what is not, two labels that cover every picture.
    Otsu's threshold of the green channel, without specks and holes below 0.3 % of the picture.
people-area: the painted pedestrians of a picture as one region, however many they are.

`masks/` beside each shows the first label, for the U-Net of `benchmarks/peers`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from backend.core.geometry.instances import ImageSize
from backend.core.regions.brush_rle import decode_brush_rle, encode_brush_rle

SPECK_SHARE = 0.003
CONFIG = """<View>
  <Image name="image" value="$image"/>
  <BrushLabels name="label" toName="image">
{labels}
  </BrushLabels>
</View>
"""


def stained(image_bgr: np.ndarray) -> np.ndarray:
    """Return where a blood smear, uint8 [H, W, 3] BGR, shows cells: bool [H, W]."""
    green = cv2.GaussianBlur(image_bgr[:, :, 1], (0, 0), 2)
    _, dark = cv2.threshold(green, 0, 1, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)
    return ~without_specks(~without_specks(dark.astype(bool)))


def without_specks(mask: np.ndarray) -> np.ndarray:
    """Return a mask, bool [H, W], without connected parts below SPECK_SHARE of the picture."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    keeps = stats[:, cv2.CC_STAT_AREA] >= SPECK_SHARE * mask.size
    keeps[0] = False
    return keeps[parts]


def region(mask: np.ndarray, label: str, number: int) -> dict:
    """Return a mask, bool [H, W], as a brush region of Label Studio."""
    height, width = mask.shape
    return {
        "id": f"area{number}",
        "type": "brushlabels",
        "from_name": "label",
        "to_name": "image",
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": encode_brush_rle(mask), "brushlabels": [label]},
    }


def cell_areas(task: dict, folder: Path) -> dict[str, np.ndarray]:
    """Return what is stained and what is not in the picture of a task."""
    cells = stained(cv2.imread(str(folder / task["data"]["image"])))
    return {"Stained": cells, "Ground": ~cells}


def people_area(task: dict, folder: Path) -> dict[str, np.ndarray]:
    """Return everything that is painted in a task as one mask."""
    painted = [
        decode_brush_rle(
            result["value"]["rle"], ImageSize(result["original_width"], result["original_height"])
        )
        for result in task["annotations"][0]["result"]
    ]
    return {"People": np.any(painted, axis=0)}


SOURCES = {
    "cell-areas": ("bccd", "tasks.json", cell_areas),
    "people-area": ("pennfudan", "tasks_brush.json", people_area),
}


def write_set(data: Path, out: Path, name: str) -> int:
    """Write one set beside links to its pictures; return how many tasks it has."""
    source, tasks_file, areas_of = SOURCES[name]
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "masks").mkdir(exist_ok=True)
    if not (folder / "images").exists():
        (folder / "images").symlink_to((data / source / "images").resolve())
    (folder / "splits.json").write_text((data / source / "splits.json").read_text())
    tasks, labels = [], set()
    for task in json.loads((data / source / tasks_file).read_text()):
        areas = {label: mask for label, mask in areas_of(task, data / source).items() if mask.any()}
        labels.update(areas)
        first = next(iter(areas.values()))
        cv2.imwrite(str(folder / "masks" / f"{Path(task['data']['image']).stem}.png"), first.astype(np.uint8))
        results = [region(mask, label, k) for k, (label, mask) in enumerate(areas.items())]
        tasks.append({"id": task["id"], "data": task["data"], "annotations": [{"id": 1, "result": results}]})
    (folder / "tasks.json").write_text(json.dumps(tasks))
    lines = "\n".join(f'    <Label value="{label}"/>' for label in sorted(labels))
    (folder / "label_config.xml").write_text(CONFIG.format(labels=lines))
    return len(tasks)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    for name in SOURCES:
        print(name, write_set(args.data, args.out, name), "tasks", flush=True)


if __name__ == "__main__":
    main()
