import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.core.geometry.ellipses import Ellipse, ellipse_to_patch
from backend.core.geometry.instances import ImageSize, MaskPatch
from backend.core.geometry.letterbox import PADDING_GREY, Letterbox, linear_at

SHAPES = [
    pytest.param(ImageSize(640, 480), 416, ImageSize(416, 312), id="landscape"),
    pytest.param(ImageSize(480, 640), 416, ImageSize(312, 416), id="portrait"),
    pytest.param(ImageSize(100, 100), 416, ImageSize(416, 416), id="enlarged"),
    pytest.param(ImageSize(416, 416), 416, ImageSize(416, 416), id="as it is"),
    pytest.param(ImageSize(3000, 10), 320, ImageSize(320, 1), id="thin"),
    pytest.param(ImageSize(1, 1), 224, ImageSize(224, 224), id="one pixel"),
    pytest.param(ImageSize(333, 777), ImageSize(416, 320), ImageSize(137, 320), id="not square"),
]


@pytest.mark.parametrize(("size", "net_size", "inner"), SHAPES)
def test_the_image_lies_in_the_top_left_corner(size, net_size, inner):
    letterbox = Letterbox.fit(size, net_size)
    assert letterbox.inner_size == inner
    image = np.full((size.height, size.width, 3), 200, dtype=np.uint8)
    net = letterbox.image_to_net(image)
    assert net.dtype == np.uint8 and net.shape == (letterbox.net_size.height, letterbox.net_size.width, 3)
    assert (net[: inner.height, : inner.width] == 200).all()
    assert (net[inner.height :] == PADDING_GREY).all() and (net[:, inner.width :] == PADDING_GREY).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_channels_are_kept(channels):
    letterbox = Letterbox.fit(ImageSize(20, 10), 40)
    assert letterbox.image_to_net(np.zeros((10, 20, channels), dtype=np.uint8)).shape == (40, 40, channels)


def test_another_image_is_refused():
    letterbox = Letterbox.fit(ImageSize(20, 10), 40)
    with pytest.raises(ValueError, match=r"made for 10x20 \(rows x columns\), got \(20, 10, 3\)"):
        letterbox.image_to_net(np.zeros((20, 10, 3), dtype=np.uint8))


@pytest.mark.parametrize(("size", "net_size", "inner"), SHAPES)
def test_boxes_there_and_back(size, net_size, inner):
    letterbox = Letterbox.fit(size, net_size)
    boxes = np.array([[0, 0, size.width, size.height], [0.1, 0.2, 0.7, 0.9]], dtype=np.float32)
    in_net = letterbox.boxes_to_net(boxes)
    np.testing.assert_allclose(in_net[0], [0, 0, inner.width, inner.height], rtol=1e-5)
    np.testing.assert_allclose(letterbox.boxes_to_orig(in_net), boxes, rtol=1e-5, atol=1e-4)
    assert letterbox.boxes_to_net(boxes[:0]).shape == (0, 4)


def test_boxes_over_the_padding_are_cut_to_the_image():
    letterbox = Letterbox.fit(ImageSize(640, 480), 416)
    boxes = letterbox.boxes_to_orig(np.array([[-5, 300, 500, 416]], dtype=np.float32))
    np.testing.assert_allclose(boxes[0], [0, 461.54, 640, 480], atol=0.01)


def iou(a, b):
    return (a & b).sum() / (a | b).sum()


@pytest.mark.parametrize("net_size", [224, 416, 640])
@pytest.mark.parametrize("size", [ImageSize(640, 480), ImageSize(200, 300), ImageSize(1000, 400)], ids=str)
def test_masks_there_and_back(size, net_size):
    letterbox = Letterbox.fit(size, net_size)
    patch = ellipse_to_patch(Ellipse(size.width * 0.6, size.height * 0.5, 60, 40, 20), size)
    in_net = letterbox.patch_to_net(patch).full(letterbox.net_size).astype(np.float32)
    assert iou(letterbox.map_to_orig(in_net) >= 0.5, patch.full(size)) > 0.95


def test_a_mask_moves_with_its_box():
    letterbox = Letterbox.fit(ImageSize(640, 480), 320)
    patch = MaskPatch(100, 60, np.ones((80, 120), dtype=bool))
    moved = letterbox.patch_to_net(patch)
    assert (moved.left_px, moved.top_px, *moved.bits.shape) == (50, 30, 40, 60)
    assert moved.bits.all()


@pytest.mark.parametrize(
    ("width", "is_kept"), [pytest.param(2, True, id="half covered"), pytest.param(1, False, id="less")]
)
def test_a_net_pixel_is_set_from_half_covered_on(width, is_kept):
    letterbox = Letterbox.fit(ImageSize(400, 400), 100)
    patch = MaskPatch(8, 8, np.ones((4, width), dtype=bool))
    moved = letterbox.patch_to_net(patch)
    assert (moved is not None) == is_kept


def test_a_mask_outside_the_image_is_gone():
    letterbox = Letterbox.fit(ImageSize(40, 40), 20)
    assert letterbox.patch_to_net(MaskPatch(50, 0, np.ones((4, 4), dtype=bool))) is None


def test_a_map_of_any_resolution_lies_right():
    """A ramp over net comes back as the same ramp over orig, whatever the number of its cells."""
    letterbox = Letterbox.fit(ImageSize(800, 400), 320)
    for cells in (320, 80, 40):
        centres = (np.arange(cells) + 0.5) * 320 / cells
        grid = np.tile(centres.astype(np.float32), (cells, 1))
        moved = letterbox.map_to_orig(grid)
        assert moved.shape == (400, 800) and moved.dtype == np.float32
        inside = slice(40, 760)
        np.testing.assert_allclose(moved[7, inside], (np.arange(800)[inside] + 0.5) * 0.4, atol=1e-3)


def test_a_window_of_a_map_is_a_part_of_the_whole():
    letterbox = Letterbox.fit(ImageSize(300, 200), 224)
    grid = np.random.default_rng(0).random((28, 28)).astype(np.float32)
    whole = letterbox.map_to_orig(grid)
    np.testing.assert_allclose(
        letterbox.map_to_orig(grid, (30, 10, 120, 77)), whole[10:77, 30:120], atol=1e-6
    )


def test_a_map_of_one_cell_is_flat():
    letterbox = Letterbox.fit(ImageSize(5, 3), 32)
    np.testing.assert_array_equal(
        letterbox.map_to_orig(np.full((1, 1), 7, dtype=np.float32)), np.full((3, 5), 7)
    )


@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.lists(st.floats(-3, 12), min_size=1, max_size=6),
    st.lists(st.floats(-3, 12), min_size=1, max_size=6),
)
def test_a_grid_is_read_linearly_and_its_border_goes_on(height, width, rows, columns):
    grid = np.random.default_rng(0).normal(size=(height, width)).astype(np.float32)
    across = np.stack([np.interp(columns, np.arange(width), line) for line in grid])
    expected = np.stack([np.interp(rows, np.arange(height), line) for line in across.T], axis=1)
    read = linear_at(grid, np.array(rows), np.array(columns))
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, expected, atol=1e-5)


@given(st.integers(1, 5000), st.integers(1, 5000), st.sampled_from([224, 320, 416, 512, 640]))
def test_any_image_fits(width, height, net_size):
    letterbox = Letterbox.fit(ImageSize(width, height), net_size)
    inner = letterbox.inner_size
    assert max(inner.width, inner.height) == net_size
    assert 1 <= inner.width <= net_size and 1 <= inner.height <= net_size
