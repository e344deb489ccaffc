import numpy as np

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.letterbox import Letterbox
from backend.nn.detector.heads.masks.decoding import object_mask, without_specks


def test_mask_lies_where_the_logits_are_in_a_larger_image():
    letterbox = Letterbox.fit(ImageSize(200, 100), ImageSize(64, 32))
    semantic = np.full((8, 16), -5, dtype=np.float32)
    semantic[2:6, 4:10] = 5  # net x 16..40, y 8..24: orig x 50..125, y 25..75
    window = np.float32([10, 4, 46, 28])
    patch = object_mask(semantic, np.zeros((28, 28), np.float32), window, letterbox)
    ys, xs = np.nonzero(patch.full(letterbox.size))
    assert abs(xs.min() - 50) <= 3
    assert abs(xs.max() - 124) <= 3
    assert abs(ys.min() - 25) <= 3
    assert abs(ys.max() - 74) <= 3


def test_object_logits_cut_a_neighbour_away():
    letterbox = Letterbox.fit(ImageSize(64, 32), ImageSize(64, 32))
    semantic = np.full((8, 16), 3, dtype=np.float32)
    residual = np.zeros((28, 28), np.float32)
    residual[:, 14:] = -9
    patch = object_mask(semantic, residual, np.float32([0, 0, 64, 32]), letterbox)
    assert abs(patch.bits.shape[1] - 32) <= 2


def test_a_window_outside_the_image_has_no_mask():
    letterbox = Letterbox.fit(ImageSize(64, 20), ImageSize(64, 32))
    semantic = np.zeros((8, 16), np.float32)
    assert (
        object_mask(semantic, np.zeros((28, 28), np.float32), np.float32([0, 24, 10, 30]), letterbox) is None
    )


def test_specks_go_and_parts_stay():
    mask = np.zeros((20, 20), bool)
    mask[0:10, 0:10], mask[12:18, 12:18], mask[19, 0] = True, True, True
    cleaned = without_specks(mask)
    assert cleaned[15, 15]
    assert not cleaned[19, 0]


def test_a_mask_of_thousands_of_pixels_a_side_lies_where_its_logits_do():
    letterbox = Letterbox.fit(ImageSize(8000, 4000), ImageSize(640, 320))
    semantic = np.full((80, 160), -5, dtype=np.float32)
    semantic[20:60, 40:100] = 5  # net x 160..400, y 80..240: orig x 2000..5000, y 1000..3000
    window = np.float32([130, 60, 430, 260])
    patch = object_mask(semantic, np.zeros((28, 28), np.float32), window, letterbox)
    assert abs(patch.left_px - 2000) <= 50
    assert abs(patch.top_px - 1000) <= 50
    assert abs(patch.bits.shape[1] - 3000) <= 100
    assert abs(patch.bits.shape[0] - 2000) <= 100
    assert patch.bits[100:-100, 100:-100].all()
