"""Write the tables of the README that follow from the code: `make docs`. A test compares them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from backend.settings import SETTINGS_TABLE  # noqa: E402
from backend.training.parameters import IMAGE_SIZES, PARAMETER_NAMES, RANGES, TrainingParams  # noqa: E402

# What the type alone does not say of a parameter, and what it does.
_KINDS = {
    "image_size": ", ".join(map(str, IMAGE_SIZES)),
    "backbone": "a timm network",
    "task_ids": "list of ids",
}
_MEANINGS = {
    "epochs": "passes over the training images: more is better, and slower",
    "batch_size": "images per step; smaller when memory runs out",
    "learning_rate": "length of a step; smaller when the loss jumps",
    "image_size": "longer side in pixels that the network sees; larger finds smaller objects",
    "enable_detection": "learn boxes, from every kind of region",
    "enable_segmentation": "learn masks, from polygons, ellipses, brush strokes and turned rectangles",
    "pretrained": "start the backbone from ImageNet weights; recommended unless the images are very unusual",
    "backbone": "see the list in the panel; larger ones learn more and take longer",
    "confidence_threshold": "least score of a region that is predicted",
    "nms_threshold": "overlap (IoU) from which two boxes of a label count as one object",
    "task_ids": "train on these tasks only; unset: all annotated ones",
    "start_from": "`scratch`, or a version of the project with the same backbone",
}


def settings_table() -> str:
    """Return the table of environment variables."""
    rows = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{line.name}` | {line.type_name} | {line.default} | {line.meaning} |" for line in SETTINGS_TABLE
    ]
    return "\n".join(rows)


def parameters_table() -> str:
    """Return the table of training parameters."""
    defaults = TrainingParams().as_dict()
    rows = ["| name | values | default | meaning |", "|---|---|---|---|"]
    for name in PARAMETER_NAMES:
        default = defaults[name]
        shown = (
            "unset"
            if default is None
            else str(default).lower()
            if isinstance(default, bool)
            else str(default)
        )
        if name in RANGES:
            low, high = (f"{bound:.5f}".rstrip("0").rstrip(".") for bound in RANGES[name])
            values = f"{low} to {high}"
        else:
            values = _KINDS.get(name, "true, false" if isinstance(default, bool) else "text")
        rows.append(f"| `{name}` | {values} | {shown} | {_MEANINGS[name]} |")
    return "\n".join(rows)


TABLES = {"settings": settings_table, "parameters": parameters_table}


def with_tables(text: str) -> str:
    """Return a document with the tables between its marks made anew."""
    for name, table in TABLES.items():
        pattern = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
        text = re.sub(
            pattern, lambda found, table=table: f"{found[1]}{table()}\n{found[2]}", text, flags=re.DOTALL
        )
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(with_tables(readme.read_text(encoding="utf-8")), encoding="utf-8")
