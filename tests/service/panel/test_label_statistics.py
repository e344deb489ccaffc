from __future__ import annotations

from backend.core.labelstudio.label_config import parse_label_config
from backend.service.panel.label_statistics import count_labels
from tests.fakes import annotated
from tests.panel_fakes import SHAPES_CONFIG, all_shapes, region

PLAIN_TAGS = """
<View><Image name="image" value="$image"/><Labels name="what" toName="image"><Label value="Cell"/></Labels>
<Rectangle name="box" toName="image"/></View>
"""


def counts_of(tasks, config=SHAPES_CONFIG):
    return count_labels(tasks, parse_label_config(config))


def test_shapes_and_painted_instances_are_counted_by_label():
    counts = counts_of([annotated(1, *all_shapes()), annotated(2)])
    assert (counts["annotated_images"], counts["shapes"], counts["painted"], counts["total"]) == (2, 3, 1, 4)
    by_label = {entry["label"]: (entry["shapes"], entry["painted"]) for entry in counts["labels"]}
    assert by_label == {"Cell": (2, 0), "Debris": (0, 0), "Nucleus": (1, 0), "Tissue": (0, 1)}
    assert counts["labels"][0]["color"] == "#d9480f"


def test_only_the_newest_annotation_that_was_not_skipped_counts():
    task = annotated(1, all_shapes()[0])
    task["annotations"].append({"id": 9, "was_cancelled": True, "result": all_shapes()})
    assert counts_of([task])["total"] == 1


def test_a_plain_shape_and_its_label_are_one_object():
    value = {"x": 1, "y": 1, "width": 5, "height": 5}
    shape = {"id": "a", "from_name": "box", "to_name": "image", "type": "rectangle", "value": value}
    label = {"id": "a", "from_name": "what", "to_name": "image", "type": "labels"}
    counts = counts_of([annotated(1, shape, {**label, "value": {**value, "labels": ["Cell"]}})], PLAIN_TAGS)
    assert counts["total"] == 1


def test_a_label_that_left_the_config_is_shown_as_such():
    gone = region("rectangle", "Dust", "x", {"x": 1, "y": 1, "width": 5, "height": 5})
    entry = counts_of([annotated(1, gone)])["labels"][-1]
    assert entry == {"label": "Dust", "color": None, "in_config": False, "shapes": 1, "painted": 0}


def test_rubbish_in_results_is_passed_over():
    assert (
        counts_of([annotated(1, None, {"value": None}, {"id": 3, "value": {"rectanglelabels": "x"}})])[
            "total"
        ]
        == 0
    )
