"""SAM networks of random weights: what they answer means nothing, how they are asked does."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.core.geometry.instances import Detections, ImageSize, MaskPatch
from backend.core.labelstudio.prompts import Prompts
from backend.core.prompting.masks import surroundings
from backend.errors import VersionError
from backend.nn.prompts.encoding import Encoding, encode_image
from backend.nn.prompts.sam import MEAN, STD, SamSegmenter, load_sam
from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops
from tests.tiny_sam import SAM_2_FEATURES, SIDE, save_tiny_sam, save_tiny_sam_2

SIZE = ImageSize(90, 60)
IMAGE = np.random.default_rng(0).integers(0, 255, (SIZE.height, SIZE.width, 3), dtype=np.uint8)
BOX = np.array([[20, 10], [60, 10], [60, 45], [20, 45]], np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_sam(tmp_path_factory.mktemp("sam"))


@pytest.fixture(scope="module")
def folder_2(tmp_path_factory):
    return save_tiny_sam_2(tmp_path_factory.mktemp("sam2"))


@pytest.fixture(scope="module")
def sam_2(folder_2) -> SamSegmenter:
    return load_sam(folder_2)


@pytest.fixture(scope="module", params=["sam", "sam 2"])
def segmenter(request, folder, sam_2) -> SamSegmenter:
    return load_sam(folder) if request.param == "sam" else sam_2


@pytest.fixture
def encoding(segmenter) -> Encoding:
    return encode_image(IMAGE, None, features=segmenter.embed(IMAGE))


def clicks(*points: tuple[float, float, bool], **more) -> Prompts:
    places = np.array([point[:2] for point in points], np.float32).reshape(-1, 2)
    return Prompts(places, np.array([point[2] for point in points], bool), **more)


def has(mask: MaskPatch, x: int, y: int) -> bool:
    return bool(mask.full(SIZE)[y, x])


def test_the_image_reaches_the_network_as_the_librarys_own_preparation_gives_it(segmenter):
    ensure_torchvision_ops()
    import transformers

    square = {"height": SIDE, "width": SIDE}
    if isinstance(segmenter._model, transformers.SamModel):
        # Already as wide as the input, so that no interpolation differs.
        image = IMAGE[:40, :SIDE]
        prepare = transformers.SamImageProcessor(size={"longest_edge": SIDE}, pad_size=square)
    else:
        # Smooth and of another shape: every interpolation stretches it the same way.
        rows, columns = np.mgrid[: SIDE + 30, : 2 * SIDE]
        image = np.stack([rows * 2, columns, 127 + 100 * np.sin(rows / 20 + columns / 30)], axis=2)
        image = image.astype(np.uint8)
        prepare = transformers.Sam2ImageProcessor(size=square)
    pixels = prepare(images=image, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        wanted = segmenter._model.get_image_embeddings(pixels)
    for got, values in zip(segmenter.embed(image), wanted, strict=True):
        assert np.allclose(got.astype(np.float32), values.numpy().reshape(got.shape), atol=0.02)


def test_prompts_reach_the_network_in_its_own_frame(segmenter, encoding, monkeypatch):
    asked = []
    ask = segmenter._model.forward

    def spy(*args, **kwargs):
        asked.append(kwargs)
        return ask(*args, **kwargs)

    monkeypatch.setattr(segmenter._model, "forward", spy)
    painted = MaskPatch(60, 30, np.ones((9, 9), bool))
    segmenter.segment(encoding, clicks((45, 30, True), (9, 50, False), outline_px=BOX, painted=painted))
    first, second = asked
    # SAM shows the image in its shape, SAM 2 stretched to its square input.
    is_sam_2 = len(encoding.features) > 1
    scale = np.array([SIDE / SIZE.width, SIDE / (SIZE.height if is_sam_2 else SIZE.width)])
    wanted_box = np.array([[[20, 10, 60, 45]]]) * np.tile(scale, 2)
    assert np.allclose(first["input_boxes"].numpy(), wanted_box, rtol=0.02)
    assert first["input_masks"] is None and first["input_labels"].tolist() == [[[1]]]
    points = second["input_points"][0, 0].numpy()
    assert np.allclose(points, np.array([[64.5, 34.5], [45, 30], [9, 50]]) * scale, rtol=0.02)
    assert second["input_labels"].tolist() == [[[1, 1, 0]]]
    assert second["input_masks"].shape == (1, 1, 16, 16)


def test_one_click_alone_lets_the_network_choose_among_three_masks(segmenter, encoding, monkeypatch):
    asked = []
    ask = segmenter._model.forward
    monkeypatch.setattr(segmenter._model, "forward", lambda **k: (asked.append(k), ask(**k))[1])
    segmenter.segment(encoding, clicks((45, 30, True)))
    segmenter.segment(encoding, clicks((45, 30, True), (50, 31, True)))
    segmenter.segment(encoding, Prompts(outline_px=BOX))
    assert [k["multimask_output"] for k in asked] == [True, True, False, False]


@pytest.mark.parametrize(
    "places",
    [
        [(45, 30, True)],
        [(45, 30, True), (80, 50, True)],
        [(45, 30, True), (44, 33, False)],
        [(3, 3, True), (80, 50, True), (45, 30, False), (88, 2, False)],
    ],
)
def test_the_mask_holds_every_positive_and_no_negative_click(segmenter, encoding, places):
    found = segmenter.segment(encoding, clicks(*places))
    for x, y, is_positive in places:
        assert has(found.mask, x, y) == is_positive
    assert 0 <= found.score <= 1 and found.label_index is None


def test_nothing_is_answered_beyond_the_surroundings_of_a_rough_shape(segmenter, encoding):
    found = segmenter.segment(encoding, clicks((40, 30, True), outline_px=BOX))
    left, top, right, bottom = surroundings(BOX)
    rows, columns = np.nonzero(found.mask.full(SIZE))
    assert columns.min() >= left - 1 and columns.max() <= right + 1
    assert rows.min() >= top - 1 and rows.max() <= bottom + 1


def test_the_label_is_the_detectors_where_the_prompt_has_none(segmenter):
    whole = MaskPatch(0, 0, np.ones((SIZE.height, SIZE.width), bool))
    box = np.array([[0, 0, SIZE.width, SIZE.height]], np.float32)
    seen = Detections(SIZE, box, np.array([0.9], np.float32), np.array([3]), (whole,), 0.9)
    encoding = encode_image(IMAGE, seen, features=segmenter.embed(IMAGE))
    corners = np.array([[0, 0], [89, 0], [89, 59], [0, 59]], np.float32)
    prompts = Prompts(outline_px=corners, painted=whole)
    assert segmenter.segment(encoding, prompts).label_index == 3
    assert segmenter.segment(encoding, prompts, 1).label_index == 1


def test_without_a_clear_prompt_or_features_there_is_no_answer(segmenter, encoding):
    assert segmenter.segment(encoding, clicks((45, 30, False))) is None
    assert segmenter.segment(encode_image(IMAGE, None), clicks((45, 30, True))) is None


def test_features_count_as_memory_held(segmenter, encoding):
    bare = encode_image(IMAGE, None)
    held = sum(features.nbytes for features in encoding.features)
    assert held > 0 and encoding.bytes_held == bare.bytes_held + held
    assert all(features.dtype == np.float16 for features in encoding.features)


def test_sam_2_makes_three_maps_which_answer_as_the_librarys_own_forward(sam_2):
    prompt = {
        "input_points": torch.tensor([[[[20.0, 30.0], [50.0, 9.0]]]]),
        "input_labels": torch.tensor([[[1, 0]]]),
        "input_boxes": torch.tensor([[[10.0, 5.0, 60.0, 40.0]]]),
    }
    image = IMAGE[:SIDE, :SIDE]
    image = np.pad(image, ((0, SIDE - len(image)), (0, 0), (0, 0)))
    kept = sam_2.embed(image)
    assert tuple(features.shape for features in kept) == SAM_2_FEATURES
    pixels = (torch.from_numpy(image).permute(2, 0, 1) - torch.tensor(MEAN)[:, None, None]) / torch.tensor(
        STD
    )[:, None, None]
    with torch.inference_mode():
        wanted = sam_2._model(pixel_values=pixels[None], multimask_output=True, **prompt)
        features = [torch.from_numpy(values).float()[None] for values in kept]
        got = sam_2._model(image_embeddings=features, multimask_output=True, **prompt)
    assert torch.allclose(got.pred_masks, wanted.pred_masks, atol=0.02)


@pytest.mark.parametrize("size", [ImageSize(90, 60), ImageSize(40, 120)])
def test_a_mask_of_sam_2_lies_where_the_library_puts_it(sam_2, monkeypatch, size):
    import transformers

    rows, columns = np.mgrid[:64, :64]
    logits = torch.from_numpy(10 - np.hypot(rows - 40, columns - 20).astype(np.float32))[None, None]
    output = SimpleNamespace(pred_masks=logits[None], iou_scores=torch.ones(1, 1, 1))
    processor = transformers.Sam2ImageProcessor()
    (wanted,) = processor.post_process_masks(logits[None], [[size.height, size.width]])
    image = np.zeros((size.height, size.width, 3), np.uint8)
    encoding = encode_image(image, None, features=sam_2.embed(image))
    monkeypatch.setattr(sam_2._model, "forward", lambda **asked: output)
    place = (20.5 / 64 * size.width, 40.5 / 64 * size.height, True)
    found = sam_2.segment(encoding, clicks(place)).mask.full(size)
    wanted = wanted[0, 0].numpy()
    assert (found & wanted).sum() / (found | wanted).sum() > 0.97


def test_a_mask_is_handed_back_to_sam_2_within_its_limits(sam_2, monkeypatch):
    asked = []

    def forward(**prompt):
        asked.append(prompt)
        return SimpleNamespace(pred_masks=torch.full((1, 1, 1, 16, 16), 90.0), iou_scores=torch.ones(1, 1, 1))

    encoding = encode_image(IMAGE, None, features=sam_2.embed(IMAGE))
    monkeypatch.setattr(sam_2._model, "forward", forward)
    sam_2.segment(encoding, clicks((45, 30, True), (9, 50, False)))
    assert asked[1]["input_masks"].max() == 32


def test_a_published_network_for_videos_answers_as_its_image_half(tmp_path, folder_2):
    video = load_sam(save_tiny_sam_2(tmp_path, for_videos=True))
    found = video.segment(encode_image(IMAGE, None, features=video.embed(IMAGE)), clicks((45, 30, True)))
    assert has(found.mask, 45, 30)


def test_the_warm_up_asks_the_network_once(segmenter, monkeypatch):
    asked = []
    forward = segmenter._model.forward
    monkeypatch.setattr(
        segmenter._model, "forward", lambda **prompt: asked.append(prompt) or forward(**prompt)
    )
    segmenter.warm_up()
    assert len(asked) == 1 and asked[0]["input_points"].shape[-2:] == (1, 2)


def test_pickled_weights_are_not_read(folder, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    torch.save(load_file(folder / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(VersionError, match=r"model\.safetensors"):
        load_sam(tmp_path)


def with_config(folder, into, **changes):
    config = json.loads((folder / "config.json").read_text()) | changes
    (into / "config.json").write_text(json.dumps(config))
    return into


def test_damaged_weights_are_named(folder, tmp_path):
    with_config(folder, tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(VersionError, match=r"model\.safetensors cannot be read"):
        load_sam(tmp_path)


def test_half_a_network_is_refused_where_the_library_would_make_up_the_rest(folder, tmp_path):
    with_config(folder, tmp_path)
    encoder = {k: v for k, v in load_file(folder / "model.safetensors").items() if "mask_decoder" not in k}
    save_file(encoder, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(VersionError, match=r"lacks \d+ weights.*mask_decoder"):
        load_sam(tmp_path)


@pytest.mark.parametrize("kind", ["edgetam", "sam3", "sam_hq", "vit", None])
def test_another_kind_of_network_is_refused_by_its_name(folder, tmp_path, kind):
    with_config(folder, tmp_path, model_type=kind)
    (tmp_path / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
    with pytest.raises(VersionError, match=f"type {kind!r}.*SAM 2"):
        load_sam(tmp_path)


@pytest.mark.parametrize(("content", "why"), [(None, "hub id"), ("{", "not JSON"), ("[]", "type None")])
def test_a_folder_without_a_description_says_what_it_lacks(tmp_path, content, why):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(VersionError, match=why):
        load_sam(tmp_path)
