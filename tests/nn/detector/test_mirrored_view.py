"""A second look at the mirrored image: an image and its mirror image then show the same."""

import numpy as np
import pytest
import torch

from backend.core.answers.options import Form, Question
from backend.core.geometry.instances import ImageSize
from backend.core.geometry.points import POINTS
from backend.core.geometry.tiling import Tiling
from backend.nn.detector.architecture import Architecture
from backend.nn.detector.heads.areas.head import AREAS
from backend.nn.detector.heads.attributes.head import ATTRIBUTES
from backend.nn.detector.heads.boxes.head import BOXES, BoxReading
from backend.nn.detector.heads.boxes.turned.head import TURNED_BOXES
from backend.nn.detector.heads.choices.head import CHOICES
from backend.nn.detector.heads.masks.head import MASKS
from backend.nn.detector.heads.mirror import shares_mirrored
from backend.nn.detector.heads.points.head import POINTS_HEAD, PointReading
from backend.nn.detector.network import InstanceNetwork
from backend.nn.detector.predictor import Predictor
from backend.training.judging.calibration import expected_score_map

LIMITS = {"confidence_threshold": 0.001, "nms_threshold": 0.5, "max_regions": 5}
SIZE = ImageSize(96, 64)
IMAGE = np.random.default_rng(3).integers(0, 255, (SIZE.height, SIZE.width, 3), dtype=np.uint8)
MIRRORED = np.ascontiguousarray(IMAGE[:, ::-1])
HEADS = {
    "boxes": (BOXES,),
    "masks": (BOXES, MASKS),
    "areas": (AREAS,),
    "turned boxes": (TURNED_BOXES,),
    "choices": (CHOICES,),
    "attributes": (BOXES, ATTRIBUTES),
    "points": (POINTS_HEAD,),
}


def predictor(heads, *, options=("day", "night"), mirrored_points=(0, 1), **more):
    """Return an untrained network whose outputs are far from being the same everywhere."""
    torch.manual_seed(0)
    question = Question(Form.SINGLE, tuple((one,) for one in options)).as_json()
    asked = {head.name: {"kind": question} for head in heads if head in (CHOICES, ATTRIBUTES)}
    architecture = Architecture("test_resnet", 96, 2, heads, asked=asked)
    network = InstanceNetwork(architecture).eval().requires_grad_(False)
    for name, weights in network.named_parameters():
        if name.endswith(("logits.weight", "codes.weight", "_head.out.weight")):
            torch.nn.init.normal_(weights, std=0.5)
        if name.endswith("semantic_logits.bias"):
            torch.nn.init.zeros_(weights)
    points = PointReading((1, 1), (0, 0), mirrored_labels=mirrored_points)
    readings = {"boxes": BoxReading(expected_score_map()), POINTS: points}
    return Predictor(network, ("a", "b"), readings, **more)


def found_in(there, image):
    """Return boxes, scores and so on of an image, by name."""
    (found,) = there.predict([image], **LIMITS)
    size = ImageSize(image.shape[1], image.shape[0])
    chances, points = found.extras.get("choices"), found.extras.get(POINTS)
    return {
        "boxes": found.boxes_xyxy_px,
        "scores": found.scores,
        "labels": found.label_indices,
        "masks": [mask.full(size) for mask in found.masks if mask is not None],
        "turned": found.turned_boxes_px,
        "chances": None if chances is None else np.array(chances["kind"].values),
        "points": {} if points is None else _by_label(points),
        "attributes": [one["kind"].values for one in found.attributes or ()],
    }


def _by_label(points):
    return dict(zip(points.label_indices.tolist(), points.points_xy_px, strict=True))


def mirror_image(found, width_px):
    """Return what is found in the mirror image of an image, by what is found in the image."""
    left, top, right, bottom = found["boxes"].T
    turned = found["turned"]
    if turned is not None:
        turned = turned * [-1, 1, 1, 1, -1] + [width_px, 0, 0, 0, 0]
    return {
        **found,
        "boxes": np.stack([width_px - right, top, width_px - left, bottom], axis=1),
        "masks": [mask[:, ::-1] for mask in found["masks"]],
        "turned": turned,
        "points": {label: (width_px - x, y) for label, (x, y) in found["points"].items()},
    }


def is_same(one, other):
    """Tell whether the same is found, but for roundings of pixels."""
    if one["boxes"].shape != other["boxes"].shape or one["labels"].tolist() != other["labels"].tolist():
        return False
    masks = zip(one["masks"], other["masks"], strict=True)
    return (
        np.allclose(one["boxes"], other["boxes"], atol=0.02)
        and np.allclose(one["scores"], other["scores"], atol=1e-4)
        and all((a & b).sum() > 0.97 * (a | b).sum() for a, b in masks)
        and (one["turned"] is None or np.allclose(one["turned"], other["turned"], atol=0.1))
        and (one["chances"] is None or np.allclose(one["chances"], other["chances"], atol=1e-5))
        and one["points"].keys() == other["points"].keys()
        and all(
            np.allclose(place, other["points"][label], atol=0.1) for label, place in one["points"].items()
        )
        and np.allclose(one["attributes"], other["attributes"], atol=1e-3)
    )


@pytest.mark.parametrize("heads", HEADS.values(), ids=HEADS)
def test_an_image_and_its_mirror_image_show_the_same(heads):
    twice = predictor(heads, mirrored_view=True)
    found = found_in(twice, IMAGE)
    assert len(found["boxes"]) > 0 or found["chances"] is not None or found["points"]
    assert is_same(mirror_image(found, SIZE.width), found_in(twice, MIRRORED))


@pytest.mark.parametrize("heads", HEADS.values(), ids=HEADS)
def test_one_look_alone_takes_them_for_two_things(heads):
    once = predictor(heads)
    assert not is_same(mirror_image(found_in(once, IMAGE), SIZE.width), found_in(once, MIRRORED))


def test_where_left_and_right_are_said_of_the_image_the_mirror_image_has_no_say():
    options = ("faces left", "faces right")
    once, twice = (predictor((CHOICES,), options=options, mirrored_view=switch) for switch in (False, True))
    assert np.array_equal(found_in(once, IMAGE)["chances"], found_in(twice, IMAGE)["chances"])


def test_a_left_point_is_a_right_one_in_the_mirror():
    twice = predictor((POINTS_HEAD,), mirrored_points=(1, 0), mirrored_view=True)
    plain, mirrored = (found_in(twice, image)["points"] for image in (IMAGE, MIRRORED))
    assert plain.keys() == mirrored.keys() == {0, 1}
    for label, (x, y) in plain.items():
        assert np.allclose((SIZE.width - x, y), mirrored[1 - label], atol=0.1)


def test_an_image_beside_its_padding_lies_on_the_other_side_of_the_mirrored_view():
    there = shares_mirrored(torch.tensor([[0.0, 0.0, 0.75, 1.0], [0.25, 0.5, 0.5, 0.75]]))
    assert there.tolist() == [[0.25, 0.0, 1.0, 1.0], [0.5, 0.5, 0.75, 0.75]]


def test_a_cut_image_is_looked_at_once():
    tiling = Tiling(side_px=48, overlap=0.2, has_whole_view=True)
    once, twice = (predictor((BOXES,), tiling=tiling, mirrored_view=switch) for switch in (False, True))
    assert is_same(found_in(once, IMAGE), found_in(twice, IMAGE))
