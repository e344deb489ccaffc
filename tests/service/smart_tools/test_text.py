"""A smart tool on text: the words come with the shape, as one region."""

from __future__ import annotations

import time

import numpy as np
import pytest

from backend.core.geometry.instances import MaskPatch
from backend.errors import TextReadingError
from backend.nn.prompts.segmenter import SegmentedObject
from backend.service.text.reading import TextReading
from tests.fakes.images import FakeImages
from tests.fakes.text import FakeReader, page_with
from tests.service.smart_tools.test_answers import ask, make

CONFIG = (
    '<View><Image name="img" value="$image"/>'
    '<KeyPointLabels name="kp" toName="img" smart="true"><Label value="Cat"/></KeyPointLabels>'
    '<RectangleLabels name="rect" toName="img" smart="true"><Label value="Cat"/></RectangleLabels>'
    '<TextArea name="said" toName="img" perRegion="true"/></View>'
)
# 320 x 240: two rows, the upper in two parts.
PAGE = page_with(
    (40, 60, 120, 76, 10),
    (140, 60, 200, 76, 20),
    (40, 100, 120, 116, 30),
    (250, 200, 310, 216, 20),
    width=320,
    height=240,
)


class Nearby:
    """Stands for the network: a small square where the shape begins, or nothing."""

    def __init__(self, finds: bool = True):
        self.finds = finds

    def segment(self, encoding, prompts, label_index=None, detector=None):
        where = prompts.outline_px if prompts.outline_px is not None else prompts.clicks_xy_px
        x, y = where.min(axis=0).astype(int)
        return (
            SegmentedObject(MaskPatch(int(x), int(y), np.ones((9, 60), bool)), 0.6, None)
            if self.finds
            else None
        )


def drawn(x1, y1, x2, y2):
    value = {"x": x1 / 3.2, "y": y1 / 2.4, "width": (x2 - x1) / 3.2, "height": (y2 - y1) / 2.4, "rotation": 0}
    return {
        "id": "r",
        "from_name": "rect",
        "to_name": "img",
        "type": "rectanglelabels",
        "value": {**value, "rectanglelabels": ["Cat"]},
        "is_positive": True,
    }


def answer(shape, reader=None, *, finds=True, config=CONFIG, text=None, answer_within_s=60.0):
    interactive = make(
        images=FakeImages({"scene.png": PAGE}),
        load=lambda folder: Nearby(finds),
        text=text or TextReading(reader or FakeReader()),
        answer_within_s=answer_within_s,
    )
    return ask(interactive, shape, config=config)["result"]


def place(result):
    return [
        round(result["value"][name] * side)
        for name, side in (("x", 3.2), ("y", 2.4), ("width", 3.2), ("height", 2.4))
    ]


@pytest.mark.parametrize("finds", [True, False])
def test_a_rectangle_around_words_is_answered_with_them(finds):
    shape, text = answer(drawn(30, 50, 210, 120), finds=finds)
    assert (shape["type"], text["type"], text["from_name"]) == ("rectanglelabels", "textarea", "said")
    assert shape["id"] == text["id"] != "r"
    assert text["value"]["text"] == ["TOTAL 12.50\nDATE"]
    assert place(shape) == place(text) == [40, 60, 160, 56]


def test_a_rough_rectangle_snaps_to_the_line_that_it_covers():
    shape, text = answer(drawn(35, 62, 126, 90))
    assert text["value"]["text"] == ["TOTAL"]
    assert place(shape) == [40, 60, 80, 16]


def test_a_rectangle_on_part_of_a_line_has_what_stands_there():
    shape, text = answer(drawn(42, 62, 70, 74))
    assert text["value"]["text"] == ["TOTAL"]
    assert place(shape)[:2] == [42, 62]  # no line lies in it: it is the network's answer


def test_a_click_brings_the_words_of_its_object():
    click = {
        "id": "k",
        "from_name": "kp",
        "to_name": "img",
        "type": "keypointlabels",
        "value": {"x": 45 / 3.2, "y": 64 / 2.4, "width": 0.3, "keypointlabels": ["Cat"]},
        "is_positive": True,
    }
    shape, text = answer(click)
    assert place(shape) == [45, 64, 60, 9]
    assert text["value"]["text"] == ["TOTAL"]


@pytest.mark.parametrize(
    ("shape", "changes"),
    [
        (drawn(220, 10, 300, 50), {}),
        (drawn(30, 50, 210, 120), {"config": CONFIG.replace("perRegion", "other")}),
        (drawn(30, 50, 210, 120), {"text": TextReading(None, "install it")}),
    ],
)
def test_without_words_the_object_comes_alone(shape, changes):
    [region] = answer(shape, **changes)
    assert region["type"] == "rectanglelabels"


def test_nothing_at_all_is_no_answer():
    assert answer(drawn(220, 10, 300, 50), finds=False) == []


def test_a_broken_engine_costs_the_words_alone():
    reader = FakeReader()
    reader.failure = TextReadingError("out of order")
    [region] = answer(drawn(30, 50, 210, 120), reader)
    assert region["type"] == "rectanglelabels"


class SlowReader(FakeReader):
    def find_lines(self, image):
        time.sleep(8)
        return []


def test_an_engine_that_is_late_costs_the_words_alone():
    started = time.monotonic()
    [region] = answer(drawn(30, 50, 210, 120), SlowReader(), answer_within_s=4.0)
    assert region["type"] == "rectanglelabels"
    assert time.monotonic() - started < 7
