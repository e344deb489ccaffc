from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from backend.core.geometry.instances import Detections, ImageSize, MaskPatch
from backend.core.geometry.turned_boxes import turned_corners, turned_iou
from backend.core.labelstudio.label_config import parse_label_config
from backend.core.regions.brush_rle import decode_brush_rle
from backend.core.regions.rectangle import RECTANGLE
from backend.errors import NoMemoryLeft, VersionError
from backend.nn.prompts.segmenter import SegmentedObject, load_segmenter
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.ports import ImageAccess
from backend.service.smart_tools.answers import Interactive
from backend.service.smart_tools.encoded_images import EncodedImages
from backend.service.text.reading import TextReading
from tests.fakes.encoding_files import FakeEncodingFiles
from tests.fakes.images import FakeImages
from tests.fakes.predictor import FakePredictor
from tests.fakes.waiting_room import FakeWaitingRoom

CAPTURES = Path(__file__).parents[2] / "contract" / "captures"
# One points at nothing. No tag that draws has the labels of the recorded key points, and nothing is trained
# that knows better.
CAPTURES_WITHOUT_ANSWER = {
    "interactive_empty_context",
    "interactive_keypoint_negative",
    "interactive_keypoint_other_label",
    "interactive_keypoint_positive",
}
KEY = "7.1763750000"
ACCESS = ImageAccess()
BRUSH = (
    '<View><Image name="img" value="$image"/>'
    '<KeyPointLabels name="kp" toName="img"><Label value="Cat"/><Label value="Dog"/></KeyPointLabels>'
    '<RectangleLabels name="rect" toName="img"><Label value="Cat"/></RectangleLabels>'
    '<BrushLabels name="brush" toName="img"><Label value="Cat"/><Label value="Dog"/></BrushLabels></View>'
)
TASK = {"id": 3, "data": {"image": "scene.png"}}


def scene(width: int = 320, height: int = 240, left: int = 120) -> np.ndarray:
    """A red disc on noisy grey: nobody can mistake the object."""
    rng = np.random.default_rng(0)
    image = np.clip(rng.normal(120, 8, (height, width, 3)), 0, 255).astype(np.uint8)
    ys, xs = np.mgrid[:height, :width]
    image[(xs - left) ** 2 + (ys - height // 2) ** 2 < 45**2] = (220, 40, 40)
    return image


def disc(width: int = 320, height: int = 240, left: int = 120) -> np.ndarray:
    ys, xs = np.mgrid[:height, :width]
    return (xs - left) ** 2 + (ys - height // 2) ** 2 < 45**2


class FakeVersions:
    """One predictor, or none before any training."""

    def __init__(self, predictor=None):
        self.serving = predictor

    def current(self, project_key):
        return self.serving.version if self.serving else None

    def ready_predictor(self, project_key, timeout_s):
        return self.serving


class CountingSegmenter:
    """Answers with the disc, and counts who asks at once."""

    def __init__(self, seconds: float = 0.0):
        self.seconds = seconds
        self.asked = 0

    def segment(self, encoding, prompts, label_index=None, detector=None):
        self.asked += 1
        time.sleep(self.seconds)
        x, y = prompts.clicks_xy_px[0].astype(int) if len(prompts.clicks_xy_px) else (5, 5)
        return SegmentedObject(MaskPatch(int(x), int(y), np.ones((4, 4), bool)), 0.8, label_index)


def make(
    predictor=None, images=None, load=None, answer_within_s=60.0, followed_by=None, text=None
) -> Interactive:
    """Return the real thing over fakes; by default with more time than a busy machine can need."""
    versions, batching = FakeVersions(predictor), BatchingQueue()
    images = images or FakeImages({"scene.png": scene()})
    prepared = EncodedImages(
        images,
        versions,
        batching,
        load or load_segmenter,
        lambda key, version: Path("/nonexistent"),
        FakeEncodingFiles(),
        memory_bytes=64 << 20,
    )
    return Interactive(
        prepared,
        versions,
        batching,
        FakeWaitingRoom(),
        images,
        text or TextReading(None, "no engine is installed"),
        followed_by=followed_by or (lambda key, task, config, access: None),
        answer_within_s=answer_within_s,
        seed=0,
    )


def click(x: float, y: float, *, positive: bool = True, label: str = "Cat", region_id: str = "k") -> dict:
    value = {"x": x, "y": y, "width": 0.3, "keypointlabels": [label], "labels": [label]}
    return {
        "id": region_id,
        "from_name": "kp",
        "to_name": "img",
        "type": "keypointlabels",
        "value": value,
        "is_positive": positive,
        "original_width": 320,
        "original_height": 240,
    }


def rectangle(x: float, y: float, width: float, height: float, region_id: str = "r") -> dict:
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": ["Cat"]}
    return {"id": region_id, "from_name": "rect", "to_name": "img", "type": "rectanglelabels", "value": value}


class Hungry(FakePredictor):
    """Runs out of a GPU's memory the first so many times."""

    def __init__(self, times: int):
        super().__init__()
        self.times = times

    def detect_with_maps(self, image, **limits):
        self.times -= 1
        if self.times >= 0:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().detect_with_maps(image, **limits)


def ask(interactive: Interactive, *results: dict, config: str = BRUSH, task: dict = TASK) -> dict:
    return interactive.answer(task, parse_label_config(config), {"result": list(results)}, KEY, ACCESS)


def mask_of(region: dict) -> np.ndarray:
    size = ImageSize(region["original_width"], region["original_height"])
    return decode_brush_rle(region["value"]["rle"], size) > 127


def iou(mask: np.ndarray, truth: np.ndarray) -> float:
    return (mask & truth).sum() / (mask | truth).sum()


def test_a_click_brings_the_object_as_one_brush_region():
    answer = ask(make(), click(37.5, 50))
    (region,) = answer["result"]
    assert (region["from_name"], region["to_name"], region["type"]) == ("brush", "img", "brushlabels")
    assert region["value"]["brushlabels"] == ["Cat"]
    assert 0 <= region["score"] <= 1 and answer["model_version"] == "not-trained"
    assert iou(mask_of(region), disc()) > 0.6


def test_a_box_brings_the_object_and_nothing_far_from_the_box():
    (region,) = ask(make(), rectangle(22, 30, 31, 40))["result"]
    mask = mask_of(region)
    assert iou(mask, disc()) > 0.7
    rows, columns = np.nonzero(mask)
    assert columns.min() >= 0.18 * 320 and columns.max() <= 0.58 * 320
    assert rows.min() >= 0.24 * 240 and rows.max() <= 0.76 * 240


def test_every_rectangle_gets_its_region():
    images = FakeImages({"scene.png": np.maximum(scene(), scene(left=250))})
    regions = ask(make(images=images), rectangle(22, 30, 31, 40, "a"), rectangle(62, 30, 31, 40, "b"))[
        "result"
    ]
    assert len(regions) == 2
    assert len({region["id"] for region in regions}) == 2


def test_further_clicks_are_obeyed_whatever_came_before():
    interactive = make()
    prompts = []
    for k, (x, y, positive) in enumerate([(37, 50, True), (60, 20, True), (37, 62, False), (30, 40, True)]):
        prompts.append(click(x, y, positive=positive, region_id=str(k)))
        (region,) = ask(interactive, *prompts)["result"]
        mask = mask_of(region)
        for p in prompts:
            at = int(p["value"]["y"] * 2.4), int(p["value"]["x"] * 3.2)
            assert mask[at] == p["is_positive"]


def test_an_answer_does_not_depend_on_who_gave_the_ones_before():
    first, second = click(37, 50), click(37, 62, positive=False, region_id="l")
    stepwise = make()
    ask(stepwise, first)
    at_once = ask(make(), first, second)
    assert ask(stepwise, first, second)["result"][0]["value"] == at_once["result"][0]["value"]


@pytest.mark.parametrize(
    "context",
    [{}, {"result": []}, {"result": None}, None, {"result": [click(37, 50, positive=False)]}],
    ids=["empty object", "empty list", "null result", "null", "only negative"],
)
def test_nothing_clear_gives_a_valid_empty_reply(context):
    answer = make().answer(TASK, parse_label_config(BRUSH), context, KEY, ACCESS)
    assert answer == {"result": [], "score": 0.0, "model_version": "not-trained"}


@pytest.mark.parametrize(
    ("task", "images"),
    [
        ({"id": 1, "data": {"image": "gone.png"}}, None),
        ({"id": 1, "data": {}}, None),
        ({"id": 1}, None),
        ({"data": {"image": "scene.png"}}, {"scene.png": VersionError("broken")}),
    ],
    ids=["image not found", "no image", "no data", "anything of ours"],
)
def test_what_cannot_be_had_gives_an_empty_reply(task, images):
    interactive = make(images=FakeImages(images) if images else None)
    assert ask(interactive, click(37, 50), task=task)["result"] == []


def test_a_click_on_a_picture_of_another_shape_gives_an_empty_reply_and_the_log_says_why(caplog):
    elsewhere = {**click(37.5, 50), "original_width": 240, "original_height": 320}
    assert ask(make(), elsewhere)["result"] == []
    assert "drawn on a picture of another shape than the 320 x 240 pixels" in caplog.text


def test_a_slow_image_gives_an_empty_reply_in_time_and_is_ready_for_the_next():
    images = FakeImages({"scene.png": scene()}, seconds=0.6)
    segmenter = CountingSegmenter()
    interactive = make(images=images, load=lambda folder: segmenter, answer_within_s=0.2)
    started = time.monotonic()
    assert ask(interactive, click(37, 50))["result"] == []
    assert time.monotonic() - started < 0.5
    time.sleep(0.7)
    assert len(ask(interactive, click(37, 50))["result"]) == 1
    assert len(images.asked) == 1


def test_users_who_ask_at_once_share_one_encoding():
    images = FakeImages({"scene.png": scene()}, seconds=0.1)
    interactive = make(images=images, load=lambda folder: CountingSegmenter())
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda k: ask(interactive, click(10 + k, 20)), range(6)))
    assert len(images.asked) == 1
    lefts = [int(np.nonzero(mask_of(a["result"][0]))[1].min()) for a in answers]
    assert lefts == [int((10 + k) * 3.2) for k in range(6)]


def test_users_on_different_images_get_their_own_answers():
    images = FakeImages({f"{k}.png": scene(left=60 + 40 * k) for k in range(4)})
    interactive = make(images=images)

    def one(k: int) -> float:
        task = {"id": k, "data": {"image": f"{k}.png"}}
        (region,) = ask(interactive, click((60 + 40 * k) / 3.2, 50), task=task)["result"]
        return iou(mask_of(region), disc(left=60 + 40 * k))

    with ThreadPoolExecutor(4) as pool:
        assert min(pool.map(one, range(4))) > 0.5


def test_the_regions_that_a_task_has_already_are_never_looked_at():
    class Untouchable(list):
        def __iter__(self):
            raise AssertionError("300 brush regions would be read")

        __getitem__ = __len__ = __iter__

    crowded = {**TASK, "annotations": Untouchable(), "drafts": Untouchable(), "predictions": Untouchable()}
    answer = ask(make(load=lambda folder: CountingSegmenter()), click(37, 50), task=crowded)
    assert len(answer["result"]) == 1


def test_the_trained_network_hints_and_names_the_object():
    class Knowing(FakePredictor):
        def _find(self, image, confidence_threshold):
            mask = MaskPatch.from_full(disc())
            return Detections(
                ImageSize(320, 240),
                np.array([[75, 75, 166, 166]], np.float32),
                np.array([0.9], np.float32),
                np.array([1]),
                (mask,),
            )

    unlabelled = click(37.5, 50)
    del unlabelled["value"]["keypointlabels"], unlabelled["value"]["labels"]
    answer = ask(make(Knowing(), load=lambda folder: load_segmenter(None)), unlabelled)
    (region,) = answer["result"]
    assert region["value"]["brushlabels"] == ["Dog"]
    assert answer["model_version"] == "v1"


CLICKS_NAMED_OTHERWISE = BRUSH.replace(
    'toName="img"><Label value="Cat"/><Label value="Dog"/>', 'toName="img"><Label value="object"/>', 1
)


def test_a_click_with_a_label_that_no_drawing_tag_has_takes_the_label_that_the_model_knows():
    """Without one, the annotator gets nothing rather than a key point."""

    class Knowing(FakePredictor):
        def _find(self, image, confidence_threshold):
            (box, score, label) = np.array([[75, 75, 166, 166]], np.float32), np.array([0.9], np.float32), 1
            return Detections(
                ImageSize(320, 240), box, score, np.array([label]), (MaskPatch.from_full(disc()),)
            )

    named = click(37.5, 50, label="object")
    interactive = make(Knowing(), load=lambda folder: load_segmenter(None))
    (region,) = ask(interactive, named, config=CLICKS_NAMED_OTHERWISE)["result"]
    assert (region["type"], region["value"]["brushlabels"]) == ("brushlabels", ["Dog"])
    assert ask(make(), named, config=CLICKS_NAMED_OTHERWISE)["result"] == []


def test_a_click_with_another_label_takes_the_only_one_there_is_to_draw():
    config = CLICKS_NAMED_OTHERWISE.replace('<Label value="Cat"/>', "")
    (region,) = ask(make(), click(37.5, 50, label="object"), config=config)["result"]
    assert (region["type"], region["value"]["brushlabels"]) == ("brushlabels", ["Dog"])


def test_a_key_point_answer_sits_on_the_object_and_has_a_width():
    config = (
        '<View><Image name="img" value="$image"/><KeyPointLabels name="kp" toName="img">'
        '<Label value="Cat"/></KeyPointLabels></View>'
    )
    (region,) = ask(make(), click(30, 50), config=config)["result"]
    assert region["type"] == "keypointlabels" and region["value"]["width"] > 0
    assert disc()[int(region["value"]["y"] * 2.4), int(region["value"]["x"] * 3.2)]


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("interactive_*.json")), ids=lambda path: path.stem)
def test_captured_requests_are_answered_in_a_form_the_editor_takes(path):
    body = json.loads(path.read_text())["request"]["json"]
    context = body["params"]["context"]
    sent = context["result"]
    size = (sent[0]["original_width"], sent[0]["original_height"]) if sent else (320, 240)

    class Any(FakeImages):
        def load_rgb(self, reference, access):
            self.asked.append((reference, access))
            return np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3)).astype(np.uint8)

    images = Any()
    config = parse_label_config(body["label_config"])
    answer = make(images=images).answer(body["tasks"][0], config, context, body["project"], ACCESS)
    assert (answer["result"] == []) is (path.stem in CAPTURES_WITHOUT_ANSWER)
    if not answer["result"]:
        return
    first = answer["result"][0]
    assert len({region["id"] for region in answer["result"]}) == 1
    assert {"from_name", "to_name", "type", "value"} <= set(first)
    assert len(first["value"]) >= 2
    assert (first["original_width"], first["original_height"]) == size
    assert first.get("item_index") == sent[0].get("item_index")
    assert config.control(first["from_name"]) is not None
    if sent[0].get("item_index"):
        assert images.asked[0][0] == body["tasks"][0]["data"]["pages"][sent[0]["item_index"]]
    if len(sent) == 2 and sent[1]["type"] == "labels":
        assert [region["type"] for region in answer["result"]] == ["rectangle", "labels"]


def test_somebody_waits_while_an_answer_is_on_its_way_and_then_the_task_is_followed():
    followed = []
    room = None

    class Watching(CountingSegmenter):
        def segment(self, *args):
            assert room.inside == 1
            return super().segment(*args)

    interactive = make(load=lambda folder: Watching(), followed_by=lambda *what: followed.append(what))
    room = interactive._waiting_room
    config = parse_label_config(BRUSH)
    interactive.answer(TASK, config, {"result": [click(37, 50)]}, KEY, ACCESS)
    assert room.inside == 0 and followed == [(KEY, TASK, config, ACCESS)]
    interactive.answer(TASK, config, {"result": []}, KEY, ACCESS)
    assert len(followed) == 1


class Bar:
    """Finds a bar that leans by 30 degrees, whatever was pointed at."""

    turned_px = np.array([160, 120, 120, 30, 30], np.float32)

    def segment(self, encoding, prompts, label_index=None, detector=None):
        canvas = np.zeros((240, 320), np.uint8)
        cv2.fillPoly(canvas, [np.round(turned_corners(self.turned_px[None])[0]).astype(np.int32)], 1)
        return SegmentedObject(MaskPatch.from_full(canvas > 0), 0.8, label_index)


BOXED = (
    '<View><Image name="img" value="$image"/>'
    '<KeyPointLabels name="kp" toName="img"><Label value="Cat"/><Label value="Dog"/></KeyPointLabels>'
    '<RectangleLabels name="rect" toName="img"><Label value="Cat"/><Label value="Dog"/></RectangleLabels>'
    "</View>"
)


def leaning(region: dict) -> float:
    """Return by how much the bar and a rectangle's result overlap."""
    shape = RECTANGLE.read(region["value"], None)
    drawn = shape.draw(ImageSize(320, 240)).turned_box_px
    assert drawn is not None
    return float(turned_iou(drawn[None], Bar.turned_px[None])[0, 0])


def test_a_click_brings_a_turned_rectangle_where_the_label_is_drawn_turned_and_an_upright_one_else():
    predictor = FakePredictor()
    predictor.turned_labels = frozenset({"Cat"})
    interactive = make(predictor, load=lambda folder: Bar())
    (cat,) = ask(interactive, click(50, 50, label="Cat"), config=BOXED)["result"]
    assert cat["value"]["rotation"] == pytest.approx(30, abs=2)
    assert leaning(cat) > 0.85
    (dog,) = ask(interactive, click(50, 50, label="Dog"), config=BOXED)["result"]
    assert dog["value"]["rotation"] == 0


def test_a_rough_rectangle_that_is_turned_brings_a_turned_one_before_any_training():
    interactive = make(load=lambda folder: Bar())
    turned = rectangle(30, 20, 50, 30)
    turned["value"]["rotation"] = 25
    (region,) = ask(interactive, turned, config=BOXED)["result"]
    assert leaning(region) > 0.85
    quarter = rectangle(30, 20, 50, 30)
    quarter["value"]["rotation"] = 90
    for upright in (rectangle(30, 20, 50, 50), quarter):
        (region,) = ask(interactive, upright, config=BOXED)["result"]
        assert region["value"]["rotation"] == 0


def test_a_gpu_that_is_full_for_a_moment_costs_no_answer_and_a_full_one_is_named():
    def asked(times):
        interactive = make(Hungry(times), load=lambda folder: CountingSegmenter())
        return ask(interactive, click(40, 50))["result"]

    assert asked(1)
    with pytest.raises(NoMemoryLeft, match="DEVICE=cpu"):
        asked(2)
