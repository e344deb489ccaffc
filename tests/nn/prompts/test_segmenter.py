from __future__ import annotations

import logging
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from backend.core.geometry.instances import Detections, ImageSize, MaskPatch
from backend.core.geometry.mask_maps import MaskMaps
from backend.core.labelstudio.prompts import Prompts
from backend.core.prompting.windows import Window, box_around, likely_box
from backend.errors import VersionError
from backend.nn.prompts.belief import (
    Belief,
    filling,
    most_agreed,
)
from backend.nn.prompts.encoding import WORK_SIDE_MAX_PX, encode_image
from backend.nn.prompts.hints import detector_view, matching_instance
from backend.nn.prompts.network import NET_SIDE, PromptNetwork, likeness_maps
from backend.nn.prompts.segmenter import (
    PROMPT_WEIGHTS_FILE,
    REFINING_ZOOM_OUT,
    PromptSegmenter,
    load_segmenter,
    weights_of,
)
from backend.nn.prompts.weights import SHIPPED_WEIGHTS, load_network, save_weights


def one_click(x: float, y: float) -> Prompts:
    return Prompts(np.array([[x, y]], np.float32), np.array([True]))


def found(*boxes_and_scores, with_masks: bool = True) -> Detections:
    boxes = np.array([box for box, _ in boxes_and_scores], np.float32).reshape(-1, 4)
    masks = tuple(
        MaskPatch(int(x1), int(y1), np.ones((int(y2 - y1), int(x2 - x1)), bool)) if with_masks else None
        for x1, y1, x2, y2 in boxes
    )
    scores = np.array([score for _, score in boxes_and_scores], np.float32)
    return Detections(ImageSize(100, 80), boxes, scores, np.arange(len(boxes)), masks)


@pytest.mark.parametrize("side", [64, 96])
def test_output_shapes_and_gradients(side):
    network = PromptNetwork().train()
    output = network(torch.randn(2, 3, side, side), torch.rand(2, 5, side, side))
    assert output.mask_logits.shape == (2, 1, side, side) and output.overlap_logits.shape == (2,)
    for norm in network.modules():  # zero by design at first, which would hide what comes before it
        if isinstance(norm, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(norm.weight)
    for entry in (network.prompt_entry, network.prompt_entry8):
        torch.nn.init.normal_(entry.weight, std=0.1)
    output = network(torch.randn(2, 3, side, side), torch.rand(2, 5, side, side))
    (output.mask_logits.mean() + output.overlap_logits.mean()).backward()
    learning = [p for p in network.parameters() if p.requires_grad]
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in learning)
    assert len(learning) > 100


def test_batch_equals_single():
    network = PromptNetwork().eval()
    image, prompts = torch.randn(3, 3, 64, 64), torch.rand(3, 5, 64, 64)
    with torch.inference_mode():
        together = network(image, prompts).mask_logits
        alone = torch.cat([network(image[k : k + 1], prompts[k : k + 1]).mask_logits for k in range(3)])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


def test_likeness_finds_what_looks_like_the_click():
    features = torch.zeros(1, 4, 8, 8)
    features[:, 0], features[:, 1, :, 4:] = 0.1, 1.0
    prompts = torch.zeros(1, 5, 32, 32)
    prompts[0, 0, 4:8, 20:24] = 1.0
    maps = likeness_maps(features, prompts)
    assert maps[0, 0, :, 4:].min() > 0.99 and maps[0, 0, :, :4].max() < 0.5
    assert maps[0, 1:].abs().max() == 0


def test_shipped_weights_are_small_and_fit():
    assert 0.5e6 < SHIPPED_WEIGHTS.stat().st_size < 8e6
    assert all(torch.isfinite(value).all() for value in load_network(SHIPPED_WEIGHTS).state_dict().values())


def test_weights_there_and_back(tmp_path):
    network = PromptNetwork()
    save_weights(network.state_dict(), tmp_path / "w.safetensors")
    loaded = load_network(tmp_path / "w.safetensors").state_dict()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded[name].float(), value.float(), atol=2e-3, rtol=2e-3)


def test_damaged_and_foreign_weights_are_refused(tmp_path):
    (tmp_path / PROMPT_WEIGHTS_FILE).write_bytes(b"nonsense")
    with pytest.raises(VersionError, match="cannot be read"):
        load_segmenter(tmp_path)
    save_weights({"mask.weight": torch.zeros(1, 2, 3, 3)}, tmp_path / PROMPT_WEIGHTS_FILE)
    with pytest.raises(VersionError, match="another architecture"):
        load_segmenter(tmp_path)
    save_file(
        {"mask.weight": torch.zeros(1)}, tmp_path / PROMPT_WEIGHTS_FILE, metadata={"prompt_network": "9"}
    )
    with pytest.raises(VersionError, match="have format 9, this release reads 1 and 2"):
        load_segmenter(tmp_path)


def test_a_version_that_an_earlier_release_tuned_serves_with_the_shipped_weights_and_says_so(
    tmp_path, caplog
):
    earlier = {"stem.0.0.weight": torch.zeros(16, 8, 3, 3).half()}
    save_file(earlier, tmp_path / PROMPT_WEIGHTS_FILE)  # as it was written: without a format
    with caplog.at_level(logging.INFO):
        assert weights_of(tmp_path) == SHIPPED_WEIGHTS
        assert isinstance(load_segmenter(tmp_path), PromptSegmenter)
    assert f"version {tmp_path.name}: its smart tools were tuned by an earlier release" in caplog.text


def test_a_version_serves_with_its_own_weights(tmp_path):
    save_weights(PromptNetwork().state_dict(), tmp_path / PROMPT_WEIGHTS_FILE)
    assert weights_of(tmp_path) == tmp_path / PROMPT_WEIGHTS_FILE


def test_a_version_without_own_weights_serves_with_the_shipped(tmp_path):
    assert isinstance(load_segmenter(tmp_path), PromptSegmenter)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 300), (4000, 3000)], ids=["dot", "strip", "large"])
def test_images_of_any_size_are_answered_in_their_own_pixels(width, height):
    encoding = encode_image(np.full((height, width, 3), 90, np.uint8), None)
    assert max(encoding.image.shape[:2]) <= WORK_SIDE_MAX_PX and encoding.bytes_held > encoding.image.nbytes
    answer = load_segmenter(None).segment(encoding, one_click(width / 2, height / 2))
    mask = answer.mask.full(ImageSize(width, height))
    assert mask[height // 2, width // 2]


def speckled(side_px: int, radius_px: int) -> np.ndarray:
    """Return a picture of coarse ground with one bright disc in its middle."""
    coarse = np.random.default_rng(0).integers(60, 130, (12, 12, 3), np.uint8)
    image = cv2.resize(coarse, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.circle(image, (side_px // 2, side_px // 2), radius_px, (230, 225, 215), -1))


def test_a_click_on_something_small_in_a_large_picture_is_no_click_on_its_surroundings():
    size, radius = 2400, 22
    answer = load_segmenter(None).segment(encode_image(speckled(size, radius), None), one_click(1200, 1200))
    places = np.arange(size) + 0.5 - size / 2
    disc = np.hypot(places[None, :], places[:, None]) < radius
    mask = answer.mask.full(ImageSize(size, size))
    assert (mask & disc).sum() / (mask | disc).sum() > 0.6


def test_unclear_prompts_get_nothing():
    encoding = encode_image(np.zeros((50, 60, 3), np.uint8), None)
    negative = Prompts(np.array([[5, 5]], np.float32), np.array([False]))
    assert load_segmenter(None).segment(encoding, negative) is None


def test_steps_are_remembered_and_bounded():
    encoding = encode_image(np.zeros((50, 60, 3), np.uint8), None)
    segmenter = load_segmenter(None)
    held = encoding.bytes_held
    for k in range(26):
        segmenter.segment(encoding, one_click(k + 1, 20))
    assert encoding.bytes_held == held and len(encoding._beliefs) == 24


def test_a_further_click_looks_closer_than_the_first():
    image = np.full((300, 400, 3), 60, np.uint8)
    cv2.circle(image, (200, 150), 70, (220, 60, 40), -1)
    encoding = encode_image(image, None)
    sides = []
    for prompts in (one_click(200, 150), clicks(((200, 150), True), ((330, 250), False))):
        load_segmenter(None).segment(encoding, prompts)
        belief = list(encoding._beliefs.values())[-1]
        held = likely_box(belief.field, belief.window)
        sides.append((belief.window.side_px, box_around(held, prompts.clicks_xy_px)))
    (_, first), (closer, _) = sides
    longer = max(*(np.maximum(first[2:], (330, 250)) - np.minimum(first[:2], (330, 250))))
    assert closer == pytest.approx(REFINING_ZOOM_OUT * longer, rel=0.05)


BOX_PX = np.array([[30, 20], [70, 20], [70, 60], [30, 60]], np.float32)


@pytest.mark.parametrize(("expected", "passes_behind_the_search"), [(0.95, 1), (0.4, 2)])
@pytest.mark.parametrize("outline_px", [None, BOX_PX], ids=["click", "box"])
def test_a_first_prompt_is_looked_at_twice_unless_the_first_answer_is_sure(
    outline_px, expected, passes_behind_the_search
):
    sides = []

    class Told(PromptSegmenter):
        def _run(self, encoding, prompts, windows, starts, seen, side=NET_SIDE):
            sides.extend(side for _ in windows)
            beliefs = super()._run(encoding, prompts, windows, starts, seen, side)
            return [replace(belief, expected_iou=expected) for belief in beliefs]

    image = np.full((80, 100, 3), 60, np.uint8)
    cv2.circle(image, (50, 40), 20, (220, 60, 50), -1)
    segmenter = Told(load_network(SHIPPED_WEIGHTS))
    prompts = one_click(50, 40) if outline_px is None else Prompts(outline_px=outline_px)
    answer = segmenter.segment(encode_image(image, None), prompts)
    assert answer is not None and answer.mask.full(ImageSize(100, 80))[40, 50]
    assert sides.count(NET_SIDE) == passes_behind_the_search


def test_a_click_finds_the_instance_that_holds_it():
    detections = found(((10, 10, 40, 40), 0.5), ((20, 20, 60, 60), 0.9), ((70, 10, 90, 30), 0.04))
    assert matching_instance(detections, one_click(30, 30), None) == 1
    assert matching_instance(detections, one_click(30, 30), 0) == 0
    assert matching_instance(detections, one_click(80, 20), None) is None
    both = Prompts(np.array([[30, 30], [55, 55]], np.float32), np.array([True, False]))
    assert matching_instance(detections, both, None) == 0


def test_a_box_finds_the_instance_that_fits_it():
    detections = found(((10, 10, 40, 40), 0.5), ((20, 20, 60, 60), 0.9))
    outline = np.array([[11, 9], [42, 9], [42, 41], [11, 41]], np.float32)
    assert matching_instance(detections, Prompts(outline_px=outline), None) == 0
    assert matching_instance(detections, Prompts(outline_px=outline + 45), None) is None


def test_the_detectors_view_lies_where_its_masks_lie():
    detections = found(((20, 16, 60, 48), 0.8))
    view = detector_view(detections, Window(0, 0, 100), 50)
    assert view[16, 20] == pytest.approx(0.8, abs=0.02) and view[4, 4] == 0
    assert (view > 0.4).sum() == pytest.approx(20 * 16, rel=0.15)


def test_an_instance_without_mask_becomes_a_rough_shape():
    segmenter = load_segmenter(None)
    image = np.random.default_rng(0).integers(0, 255, (80, 100, 3)).astype(np.uint8)
    encoding = encode_image(image, found(((30, 20, 70, 60), 0.9), with_masks=False))
    hint, prompts = segmenter._hint(encoding, one_click(50, 40), None, None)
    assert hint is None and prompts.outline_px.min(axis=0).tolist() == [30, 20]


class FakeDetector:
    """Takes the left half of every box for the object, or nothing."""

    def __init__(self, finds: bool = True) -> None:
        self.finds = finds
        self.asked: list[tuple[list[float], int | None]] = []

    def mask_in_box(self, maps, size, box_xyxy_px, label_index):
        self.asked.append((box_xyxy_px.tolist(), label_index))
        if not self.finds:
            return None
        left, top, right, bottom = (int(v) for v in box_xyxy_px)
        return MaskPatch(left, top, np.ones((bottom - top, (right - left) // 2), bool))


def some_maps() -> MaskMaps:
    shapes = ((1, 4, 4), (1, 2, 2), (2, 4, 4))
    return MaskMaps(ImageSize(32, 32), *(np.zeros(shape, np.float16) for shape in shapes))


BOX = np.array([[200, 160], [1000, 160], [1000, 800], [200, 800]], np.float32)


def test_a_detector_is_asked_for_the_mask_of_the_annotators_own_box():
    # Larger than the working size, so that the frames differ.
    image = np.full((1200, 2000, 3), 90, np.uint8)
    encoding = encode_image(image, found(((300, 200, 900, 700), 0.9)), some_maps())
    detector = FakeDetector()
    answer = load_segmenter(None).segment(encoding, Prompts(outline_px=BOX), 0, detector)
    ((box, label),) = detector.asked
    assert box == pytest.approx([200, 160, 1000, 800], abs=1) and label == 0
    mask = answer.mask.full(ImageSize(2000, 1200))
    assert mask[480, 300] and not mask[480, 900]


def test_a_detector_that_knows_nothing_there_leaves_the_box_to_the_network():
    image = np.random.default_rng(0).integers(0, 255, (80, 100, 3)).astype(np.uint8)
    outline = np.array([[20, 10], [60, 10], [60, 60], [20, 60]], np.float32)
    with_maps = encode_image(image, found(), some_maps())
    detector = FakeDetector(finds=False)
    asked = load_segmenter(None).segment(with_maps, Prompts(outline_px=outline), None, detector)
    alone = load_segmenter(None).segment(encode_image(image, found()), Prompts(outline_px=outline), None)
    assert len(detector.asked) == 1
    assert np.array_equal(asked.mask.full(with_maps.size), alone.mask.full(with_maps.size))


def test_clicks_ask_for_no_box():
    image = np.full((80, 100, 3), 90, np.uint8)
    detector = FakeDetector()
    encoding = encode_image(image, found(((30, 20, 70, 60), 0.9)), some_maps())
    assert encoding.bytes_held > encode_image(image, found(((30, 20, 70, 60), 0.9))).bytes_held
    load_segmenter(None).segment(encoding, one_click(50, 40), 0, detector)
    assert detector.asked == []


def clicks(*points_and_signs) -> Prompts:
    points = np.array([point for point, _ in points_and_signs], np.float32)
    return Prompts(points, np.array([sign for _, sign in points_and_signs]))


@pytest.mark.parametrize("outline_px", [None, BOX / 12], ids=["a click", "a box"])
def test_a_further_click_is_answered_by_the_network_and_the_detector_is_out_of_it(outline_px):
    image = np.random.default_rng(0).integers(0, 255, (80, 100, 3)).astype(np.uint8)
    points, signs = np.array([[50, 40], [70, 60]], np.float32), np.array([True, False])
    first = Prompts(points[:1], signs[:1], outline_px=outline_px)
    two = Prompts(points, signs, outline_px=outline_px)
    detector, masks = FakeDetector(), []
    for further in (found(((30, 20, 70, 60), 0.9)), found(((5, 5, 95, 75), 0.9))):
        encoding = encode_image(image, found(((30, 20, 70, 60), 0.9)), some_maps())
        load_segmenter(None).segment(encoding, first, 0, detector)
        asked = len(detector.asked)
        later = replace(encoding, detections=further)
        masks.append(load_segmenter(None).segment(later, two, 0, detector).mask.full(later.size))
        assert len(detector.asked) == asked
    assert np.array_equal(*masks)


def square_belief(window: Window, left: int, top: int, right: int, bottom: int, expected: float) -> Belief:
    """Return a belief that holds a rectangle of the orig frame."""
    xs = window.left_px + (np.arange(40) + 0.5) * window.side_px / 40
    ys = window.top_px + (np.arange(40) + 0.5) * window.side_px / 40
    inside = ((xs >= left) & (xs < right))[None, :] & ((ys >= top) & (ys < bottom))[:, None]
    return Belief(window, np.where(inside, 0.9, 0.1).astype(np.float16), expected)


def test_of_several_looks_the_one_that_others_confirm_is_taken():
    whole, half, quarter = Window(0, 0, 200), Window(50, 50, 100), Window(75, 75, 50)
    ground = square_belief(whole, 0, 0, 200, 190, 0.95)
    thing = square_belief(half, 70, 60, 130, 140, 0.4)
    most_of_it = square_belief(quarter, 75, 75, 125, 125, 0.3)
    assert most_agreed([ground, thing, most_of_it]) is thing


def test_where_no_two_looks_agree_their_own_estimate_decides():
    window = Window(0, 0, 200)
    apart = [square_belief(window, 60 * k, 0, 60 * k + 40, 40, 0.2 + 0.2 * k) for k in range(3)]
    assert most_agreed(apart) is apart[2]
    assert most_agreed(apart[:1]) is apart[0]


def nucleus_in_cell() -> Belief:
    """Return a belief that is sure of a nucleus of 40 px, and unsure of the cell of 100 px around it."""
    field = np.full((100, 100), 0.02, np.float16)
    field[25:75, 25:75], field[40:60, 40:60] = 0.3, 0.9
    return Belief(Window(0, 0, 200), field, 0.5)


def test_a_rough_box_is_filled_by_what_the_network_is_less_sure_of():
    cell = np.array([[48, 52], [153, 52], [153, 149], [48, 149]], np.float32)
    field = filling(nucleus_in_cell(), cell).field
    assert likely_box(field, Window(0, 0, 200)).tolist() == [50, 50, 150, 150]


def test_a_mask_that_spills_over_a_rough_box_shrinks_to_what_is_sure():
    nucleus = np.array([[82, 80], [119, 80], [119, 122], [82, 122]], np.float32)
    spilled = Belief(Window(0, 0, 200), nucleus_in_cell().field + np.float16(0.3), 0.5)
    assert likely_box(spilled.field, spilled.window).tolist() == [50, 50, 150, 150]
    assert likely_box(filling(spilled, nucleus).field, spilled.window).tolist() == [80, 80, 120, 120]


@pytest.mark.parametrize("off_px", [0, 4])
def test_a_mask_that_a_rough_box_fits_as_boxes_do_stays(off_px):
    belief = square_belief(Window(0, 0, 200), 60, 40, 140, 160, 0.5)
    drawn = np.array([[60 + off_px, 40 + off_px], [140 - off_px, 160 - off_px]], np.float32)
    assert filling(belief, drawn) is belief


def test_a_rough_box_over_nothing_changes_nothing():
    belief = Belief(Window(0, 0, 200), np.zeros((100, 100), np.float16), 0.5)
    assert filling(belief, np.array([[60, 40], [140, 160]], np.float32)) is belief


def test_what_lies_beyond_a_rough_box_does_not_count_as_filling_it():
    field = nucleus_in_cell().field.copy()
    field[25:75, 95:] = 0.9  # another cell, which the answer will not hold
    cell = np.array([[48, 52], [153, 149]], np.float32)
    filled = filling(Belief(Window(0, 0, 200), field, 0.5), cell).field
    assert filled[30, 30] > 0.5
