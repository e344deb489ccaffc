from __future__ import annotations

import numpy as np

from backend.core.geometry.instances import MaskPatch
from backend.core.labelstudio.prompts import Prompts
from backend.core.prompting.windows import Window
from backend.nn.prompts.belief import Belief
from backend.nn.prompts.drawing import draw_prompts, marked_box

PAINTED = MaskPatch(8, 16, np.ones((8, 4), dtype=bool))
ALL = Prompts(
    np.float32([[10, 20], [50, 20]]),
    np.array([True, False]),
    np.float32([[4, 4], [40, 4], [40, 30], [4, 30]]),
    PAINTED,
)


def drawn(prompts, start=None):
    return draw_prompts(prompts, Window(0, 0, 64), start, None, 64)


def test_the_thinnest_stroke_of_a_large_picture_survives():
    bits = np.zeros((10, 4000), dtype=bool)
    bits[4:8] = True
    stroke = Prompts(np.zeros((0, 2), np.float32), np.zeros(0, bool), None, MaskPatch(0, 5, bits))
    positive = draw_prompts(stroke, Window(1000, 0, 20), None, None, 64)[0]
    assert positive[34, 20:40].all() and not positive[:20].any()


def test_the_marked_box_holds_all_that_was_pointed_at():
    left, top, right, bottom = marked_box(ALL)
    assert left <= 4 and top <= 4 and right >= 50 and bottom >= 30


def test_each_kind_of_prompt_has_its_channel():
    positive, negative, shape, so_far, detector = drawn(ALL)
    assert positive[20, 10] and positive[18, 9] and not positive[20, 50]
    assert negative[20, 50] and not negative[20, 10]
    assert shape.any()
    assert not so_far.any() and not detector.any()


def test_the_mask_so_far_is_drawn_where_it_lies():
    field = np.zeros((32, 32), dtype=np.float16)
    field[:, 16:] = 1.0
    *_, so_far, _ = drawn(ALL, Belief(Window(0, 0, 64), field, 1.0))
    assert so_far[32, 50] > 200 and so_far[32, 10] < 50
