"""A SAM network of random weights: what it answers means nothing, how it is asked does."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.core.geometry.instances import Detections, ImageSize, MaskPatch
from backend.core.labelstudio.prompts import Prompts
from backend.core.prompting.masks import surroundings
from backend.errors import VersionError
from backend.nn.prompts.encoding import Encoding, encode_image
from backend.nn.prompts.sam import SamSegmenter, load_sam
from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops
from tests.tiny_sam import SIDE, save_tiny_sam

SIZE = ImageSize(90, 60)
IMAGE = np.random.default_rng(0).integers(0, 255, (SIZE.height, SIZE.width, 3), dtype=np.uint8)
BOX = np.array([[20, 10], [60, 10], [60, 45], [20, 45]], np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return save_tiny_sam(tmp_path_factory.mktemp("sam"))


@pytest.fixture(scope="module")
def segmenter(folder) -> SamSegmenter:
    return load_sam(folder)


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

    # Already as wide as the input, so that no interpolation differs.
    image = IMAGE[:40, :SIDE]
    prepare = transformers.SamImageProcessor(
        size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE}
    )
    pixels = prepare(images=image, return_tensors="pt")["pixel_values"]
    with torch.inference_mode():
        wanted = segmenter._model.get_image_embeddings(pixels)[0].numpy()
    assert np.allclose(segmenter.embed(image).astype(np.float32), wanted, atol=0.02)


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
    scale = SIDE / SIZE.width
    assert np.allclose(first["input_boxes"].numpy(), np.array([[[20, 10, 60, 45]]]) * scale, rtol=0.02)
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
    assert encoding.bytes_held == bare.bytes_held + encoding.features.nbytes
    assert encoding.features.dtype == np.float16


def test_the_warm_up_runs(segmenter):
    segmenter.warm_up()


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


@pytest.mark.parametrize("kind", ["sam2", "sam2_video", "sam_hq", "vit", None])
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
