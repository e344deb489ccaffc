"""The project of the demo: sixty pictures, forty of them labelled with boxes, polygons and brush strokes."""

from __future__ import annotations

from typing import Any

from demo.pictures import LABELS, draw_pictures, region_of
from harness.label_studio_server import LabelStudio

PICTURES, LABELLED = 60, 40
# A few minutes on a laptop; without a network there are no ImageNet weights to begin with.
TRAINING = {"epochs": 15, "image_size": 320, "pretrained": False}
_SHAPE_OF = {"Coin": "rectangle", "Leaf": "polygon", "Star": "brush"}
_TAG_OF = {"rectangle": "RectangleLabels", "polygon": "PolygonLabels", "brush": "BrushLabels"}
_COLOUR_OF = {"Coin": "#d97706", "Leaf": "#16a34a", "Star": "#dc2626"}


def label_config() -> str:
    """Return the labeling config: one kind of region for each label."""
    assert set(_SHAPE_OF) == set(LABELS)
    controls = "\n".join(
        f'  <{_TAG_OF[shape]} name="{shape}" toName="image" smart="true">\n'
        f'    <Label value="{label}" background="{_COLOUR_OF[label]}"/>\n'
        f"  </{_TAG_OF[shape]}>"
        for label, shape in _SHAPE_OF.items()
    )
    return f'<View>\n  <Image name="image" value="$image" zoom="true"/>\n{controls}\n</View>'


def make_project(label_studio: LabelStudio) -> tuple[int, list[int]]:
    """Create the project; return its id and the ids of the tasks without labels."""
    project_id = int(label_studio.create_project(label_config(), title="Coins, leaves and stars")["id"])
    tasks: list[dict[str, Any]] = []
    for index, picture in enumerate(draw_pictures(PICTURES, seed=20)):
        task: dict[str, Any] = {
            "data": {"image": label_studio.upload(project_id, picture.as_jpeg(), f"table-{index:02}.jpg")}
        }
        if index < LABELLED:
            regions = [
                region_of(thing, _SHAPE_OF[thing.label], _SHAPE_OF[thing.label]) for thing in picture.things
            ]
            task["annotations"] = [{"result": regions}]
        tasks.append(task)
    return project_id, label_studio.import_tasks(project_id, tasks)[LABELLED:]
