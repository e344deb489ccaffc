import numpy as np
import pytest

from backend.core.geometry.instances import Detections, ImageSize, MaskPatch, TrainingTarget


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (-1, 5)])
def test_an_image_has_pixels(width, height):
    with pytest.raises(ValueError, match=f"at least 1x1 pixels, got {width}x{height}"):
        ImageSize(width, height)


@pytest.mark.parametrize(
    ("left", "top", "expected"),
    [
        pytest.param(1, 2, [(2, 1), (2, 2), (3, 1), (3, 2)], id="inside"),
        pytest.param(4, 3, [(3, 4)], id="sticks out"),
        pytest.param(9, 9, [], id="outside"),
    ],
)
def test_the_mask_of_the_whole_image(left, top, expected):
    mask = MaskPatch(left, top, np.ones((2, 2), dtype=bool)).full(ImageSize(5, 4))
    assert mask.shape == (4, 5)
    assert [tuple(place) for place in np.argwhere(mask).tolist()] == expected


def test_cutting_to_a_window_and_back():
    mask = np.zeros((10, 12), dtype=bool)
    mask[3:7, 4:6] = mask[5, 9] = True
    patch = MaskPatch.from_full(mask)
    assert (patch.left_px, patch.top_px, patch.bits.shape, patch.area_px) == (4, 3, (4, 6), 9)
    np.testing.assert_array_equal(patch.full(ImageSize(12, 10)), mask)
    assert MaskPatch.from_full(np.zeros((3, 3), dtype=bool)) is None


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        pytest.param((0, 0, np.zeros((2, 2), dtype=np.uint8)), r"got uint8 \(2, 2\)", id="dtype"),
        pytest.param((0, 0, np.zeros(4, dtype=bool)), r"got bool \(4,\)", id="flat"),
        pytest.param((-1, 0, np.zeros((2, 2), dtype=bool)), r"got \(-1, 0\)", id="starts outside"),
    ],
)
def test_a_wrong_patch_is_refused(patch, message):
    with pytest.raises(ValueError, match=message):
        MaskPatch(*patch)


BOXES = np.zeros((2, 4), dtype=np.float32)
INDICES = np.zeros(2, dtype=np.int64)


@pytest.mark.parametrize(
    ("boxes", "indices", "masks", "message"),
    [
        pytest.param(
            BOXES[:1], INDICES, (None, None), r"boxes_xyxy_px must be \(2, 4\), got \(1, 4\)", id="boxes"
        ),
        pytest.param(
            BOXES, INDICES[:1], (None, None), r"label_indices must be \(2,\), got \(1,\)", id="labels"
        ),
        pytest.param(BOXES, INDICES, (None,), r"boxes_xyxy_px must be \(1, 4\), got \(2, 4\)", id="masks"),
    ],
)
def test_lengths_must_agree(boxes, indices, masks, message):
    with pytest.raises(ValueError, match=message):
        TrainingTarget(ImageSize(9, 9), boxes, indices, masks)
    with pytest.raises(ValueError, match=message):
        Detections(ImageSize(9, 9), boxes, np.zeros(2, dtype=np.float32), indices, masks)


def test_scores_must_agree_with_labels():
    with pytest.raises(ValueError, match=r"scores must be \(2,\), got \(3,\)"):
        Detections(ImageSize(9, 9), BOXES, np.zeros(3, dtype=np.float32), INDICES, (None, None))


def target_of(*rows):
    boxes, labels = zip(*rows, strict=True) if rows else ((), ())
    return TrainingTarget(
        ImageSize(9, 9),
        np.array(boxes, dtype=np.float32).reshape(-1, 4),
        np.array(labels, dtype=np.int64),
        (None,) * len(rows),
    )


A, B = (0, 0, 4, 4), (2, 2, 6, 6)


@pytest.mark.parametrize(
    ("rows", "objects", "first_rows"),
    [
        pytest.param([], [], [], id="none"),
        pytest.param([(A, 0), (B, 0)], [0, 1], [0, 1], id="one label each"),
        pytest.param([(A, 0), (A, 1)], [0, 0], [0], id="two labels"),
        pytest.param([(A, 0), (B, 1), (A, 1)], [0, 1, 0], [0, 1], id="mixed"),
        pytest.param([(A, 0), (A, 0)], [0, 1], [0, 1], id="the same twice is two"),
        pytest.param([(A, 0), (A, 1), (A, 0), (A, 1)], [0, 0, 1, 1], [0, 2], id="two of two labels"),
    ],
)
def test_rows_of_one_box_and_other_labels_are_one_object(rows, objects, first_rows):
    target = target_of(*rows)
    assert target.object_of_row.tolist() == objects
    assert target.first_rows.tolist() == first_rows
    assert target.object_count == len(first_rows)
