from __future__ import annotations

import numpy as np
import pytest

from backend.core.geometry.instances import ImageSize, MaskPatch
from backend.core.labelstudio.prompts import Prompts
from backend.core.prompting.masks import field_to_mask, obey_clicks, surroundings
from backend.core.prompting.windows import Window

SIZE = ImageSize(100, 80)
WINDOW = Window(10, 10, 64)


def clicks(*points: tuple[float, float, bool]) -> Prompts:
    return Prompts(np.array([(x, y) for x, y, _ in points], np.float32), np.array([p for *_, p in points]))


def square_field() -> np.ndarray:
    field = np.full((32, 32), 0.05, np.float32)
    field[8:24, 8:24] = 0.9
    return field


def test_the_mask_lands_where_the_window_was():
    mask = field_to_mask(square_field(), WINDOW, clicks((40, 40, True)), SIZE)
    assert (mask.left_px, mask.top_px) == (26, 26)
    assert mask.bits.shape == (32, 32)


def test_a_window_beyond_the_image_is_cut():
    mask = field_to_mask(np.ones((32, 32), np.float32), Window(-20, -20, 200), clicks((40, 40, True)), SIZE)
    assert mask.full(SIZE).all()


def test_nothing_likely_gives_no_mask():
    outline = np.array([[20, 20], [60, 20], [60, 60], [20, 60]], np.float32)
    assert field_to_mask(np.zeros((32, 32), np.float32), WINDOW, Prompts(outline_px=outline), SIZE) is None


def test_nothing_beyond_a_shapes_surroundings():
    outline = np.array([[30, 30], [40, 30], [40, 40], [30, 40]], np.float32)
    mask = field_to_mask(np.ones((32, 32), np.float32), WINDOW, Prompts(outline_px=outline), SIZE)
    left, top, right, bottom = surroundings(outline)
    rows, columns = np.nonzero(mask.full(SIZE))
    assert columns.min() >= np.floor(left) and columns.max() < np.ceil(right)
    assert rows.min() >= np.floor(top) and rows.max() < np.ceil(bottom)


@pytest.mark.parametrize("seed", range(8))
def test_clicks_are_obeyed_whatever_the_field_says(seed):
    rng = np.random.default_rng(seed)
    field = rng.random((32, 32)).astype(np.float32)
    points = [(float(x), float(y), bool(k % 2 == 0)) for k, (x, y) in enumerate(rng.uniform(12, 72, (6, 2)))]
    mask = field_to_mask(field, WINDOW, clicks(*points), SIZE).full(SIZE)
    for x, y, is_positive in points:
        assert mask[int(y), int(x)] == is_positive


def test_a_contradicted_click_takes_its_likes_along():
    values = np.full((40, 40), 0.1, np.float32)
    values[5:15, 5:15] = 0.9
    values[5:15, 20:28] = 0.4
    bits = obey_clicks(
        values > 0.5, values, np.array([[23.0, 9.0]], np.float32), np.zeros((0, 2), np.float32), 1.0
    )
    assert bits[5:15, 20:23].any() and not bits[30:].any()


def test_painted_stays_and_erased_goes():
    painted = MaskPatch(64, 60, np.ones((6, 6), bool))
    erased = MaskPatch(26, 26, np.ones((8, 8), bool))
    mask = field_to_mask(square_field(), WINDOW, Prompts(painted=painted, erased=erased), SIZE).full(SIZE)
    assert mask[62, 66] and not mask[30, 30] and mask[45, 45]


def test_small_strays_are_dropped_but_clicked_ones_stay():
    field = square_field()
    field[1:4, 1:4] = 0.9
    assert not field_to_mask(field, WINDOW, clicks((40, 40, True)), SIZE).full(SIZE)[14, 14]
    assert field_to_mask(field, WINDOW, clicks((40, 40, True), (14, 14, True)), SIZE).full(SIZE)[14, 14]


class TestMasksOfLargePictures:
    """A mask with a box of more than 1024 pixels is decided on a grid and then enlarged."""

    SIZE = ImageSize(6000, 4000)
    WINDOW = Window(500, -300, 5000)

    def field(self) -> np.ndarray:
        y, x = np.mgrid[:256, :256] + 0.5
        ellipse = ((x - 120) / 70) ** 2 + ((y - 130) / 60) ** 2
        return (1 / (1 + np.exp(8 * (ellipse - 1)))).astype(np.float32)

    def true_mask(self) -> np.ndarray:
        per_cell = self.WINDOW.side_px / 256
        x = (np.arange(self.SIZE.width)[None, :] + 0.5 - self.WINDOW.left_px) / per_cell
        y = (np.arange(self.SIZE.height)[:, None] + 0.5 - self.WINDOW.top_px) / per_cell
        return ((x - 120) / 70) ** 2 + ((y - 130) / 60) ** 2 <= 1

    def test_the_outline_is_as_fine_as_the_fields(self):
        mask = field_to_mask(self.field(), self.WINDOW, clicks((2800, 2200, True)), self.SIZE)
        full, wanted = mask.full(self.SIZE), self.true_mask()
        assert (full & wanted).sum() / (full | wanted).sum() > 0.995

    def test_clicks_are_obeyed_to_the_pixel(self):
        # Two clicks three pixels apart, within one cell of the grid.
        points = [
            (2800.5, 2200.5, True),
            (2803.5, 2200.5, False),
            (600.5, 3900.5, True),
            (605.5, 3900.5, False),
        ]
        mask = field_to_mask(self.field(), self.WINDOW, clicks(*points), self.SIZE).full(self.SIZE)
        for x, y, is_positive in points:
            assert mask[int(y), int(x)] == is_positive

    def test_what_was_painted_is_there_and_what_was_erased_is_not(self):
        painted = MaskPatch(5000, 100, np.ones((30, 800), np.bool_))
        erased = MaskPatch(2000, 2000, np.ones((600, 600), np.bool_))
        prompts = Prompts(painted=painted, erased=erased)
        mask = field_to_mask(self.field(), Window(0, 0, 6000), prompts, self.SIZE).full(self.SIZE)
        assert mask[110:120, 5010:5790].all()
        assert not mask[2020:2580, 2020:2580].any()

    def test_what_a_shape_allows_bounds_a_large_mask(self):
        outline = np.array([[1500, 1000], [4000, 1000], [4000, 3000], [1500, 3000]], np.float32)
        ones = np.ones((256, 256), np.float32)
        mask = field_to_mask(ones, self.WINDOW, Prompts(outline_px=outline), self.SIZE)
        left, top, right, bottom = surroundings(outline).tolist()
        height, width = mask.bits.shape
        assert (mask.left_px, mask.top_px) == (np.floor(left), np.floor(top))
        assert (mask.left_px + width, mask.top_px + height) == (np.ceil(right), np.ceil(bottom))
