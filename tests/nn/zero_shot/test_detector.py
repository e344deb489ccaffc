"""Detectors by text, of random weights: what they find means nothing, how they are asked and read does."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.errors import VersionError
from backend.nn.prompts.segmenter import load_segmenter
from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops
from backend.nn.zero_shot.detector import Found, load_text_detector
from backend.nn.zero_shot.predictor import ZeroShotPredictor
from tests.tiny_text_detectors import save_tiny_grounding_dino, save_tiny_owl

IMAGE = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
TEXTS = ("red blood cell", "platelet")


@pytest.fixture(scope="module")
def owl2(tmp_path_factory):
    return save_tiny_owl(tmp_path_factory.mktemp("owl2"))


@pytest.fixture(scope="module")
def owl1(tmp_path_factory):
    return save_tiny_owl(tmp_path_factory.mktemp("owl1"), "owlvit")


@pytest.fixture(scope="module")
def grounding(tmp_path_factory):
    return save_tiny_grounding_dino(tmp_path_factory.mktemp("grounding"))


@pytest.mark.parametrize(("name", "prefix"), [("owl2", "Owlv2"), ("owl1", "OwlViT")])
def test_an_owl_finds_what_the_librarys_own_processor_makes_of_its_output(request, name, prefix):
    folder = request.getfixturevalue(name)
    found = load_text_detector(folder).find(IMAGE, TEXTS)
    ensure_torchvision_ops()
    import transformers

    processor = getattr(transformers, f"{prefix}Processor").from_pretrained(folder)
    model = getattr(transformers, f"{prefix}ForObjectDetection").from_pretrained(folder).eval()
    inputs = processor(text=[list(TEXTS)], images=IMAGE, return_tensors="pt")
    with torch.inference_mode():
        output = model(**inputs)
    [wanted] = processor.post_process_grounded_object_detection(
        output, threshold=0.0, target_sizes=[IMAGE.shape[:2]]
    )
    assert np.allclose(found.scores.max(axis=1), wanted["scores"].numpy(), atol=1e-5)
    is_clear = (
        np.abs(found.scores[:, 0] - found.scores[:, 1]) > 1e-4
    )  # random weights make some too sure of both
    assert is_clear.sum() > 10
    assert (found.scores.argmax(axis=1) == wanted["labels"].numpy())[is_clear].all()
    assert np.allclose(found.boxes_xyxy_px, wanted["boxes"].numpy(), atol=1e-2)


def test_grounding_dino_finds_what_the_librarys_own_processor_makes_of_its_output(grounding):
    found = load_text_detector(grounding).find(IMAGE, ["Red blood cell.", "platelet"])
    ensure_torchvision_ops()
    import transformers

    processor = transformers.GroundingDinoProcessor.from_pretrained(grounding)
    model = transformers.GroundingDinoForObjectDetection.from_pretrained(grounding).eval()
    inputs = processor(text="red blood cell. platelet.", images=IMAGE, return_tensors="pt")
    with torch.inference_mode():
        output = model(**inputs)
    [wanted] = processor.post_process_grounded_object_detection(
        output, inputs["input_ids"], threshold=0.0, target_sizes=[IMAGE.shape[:2]]
    )
    assert np.allclose(found.boxes_xyxy_px, wanted["boxes"].numpy(), atol=1e-2)
    probabilities = output.logits[0].sigmoid().numpy()
    words = processor.tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])
    assert words == ["[CLS]", "red", "blood", "cell", ".", "platelet", ".", "[SEP]"]
    assert np.allclose(found.scores[:, 0], probabilities[:, 1:4].max(axis=1), atol=1e-5)
    assert np.allclose(found.scores[:, 1], probabilities[:, 5], atol=1e-5)


def test_more_texts_than_one_pass_takes_are_asked_in_several(grounding, monkeypatch):
    detector = load_text_detector(grounding)
    at_once = detector.find(IMAGE, TEXTS)
    asked = []
    ask = detector._model.forward
    monkeypatch.setattr(detector._model, "forward", lambda **k: (asked.append(k["input_ids"]), ask(**k))[1])
    many = detector.find(IMAGE, [*TEXTS] * 60)
    assert [ids.shape[1] for ids in asked] == [252, 113] or len(asked) == 2
    assert all(ids.shape[1] <= 256 for ids in asked)
    assert many.scores.shape == (2 * len(at_once.scores), 120)
    assert (many.scores.max(axis=0) > 0).all()


def test_a_text_that_names_nothing_finds_nothing(grounding):
    found = load_text_detector(grounding).find(IMAGE, ["...", "cat"])
    assert not found.scores[:, 0].any() and found.scores[:, 1].any()


@pytest.fixture(scope="module")
def predictor(owl2):
    return ZeroShotPredictor(load_text_detector(owl2), None, "zero-shot-x", ("RBC", "PLT"), TEXTS)


def predict(predictor, **limits):
    limits = {"confidence_threshold": 0.3, "nms_threshold": 1.0, **limits}
    [found] = predictor.predict([IMAGE], **limits)
    return found


def test_detections_are_above_the_threshold_inside_the_image_and_best_first(predictor):
    found = predict(predictor)
    assert len(found) and (found.scores >= 0.3).all() and (np.diff(found.scores) <= 0).all()
    assert (found.boxes_xyxy_px >= 0).all() and (found.boxes_xyxy_px <= [90, 60, 90, 60]).all()
    assert 0 < found.image_score <= 1 and found.masks == (None,) * len(found)
    assert len(predict(predictor, confidence_threshold=1.0)) == 0
    assert len(predict(predictor, max_regions=2)) == 2


class Overlapping:
    """Finds one object twice, and another label in the same place."""

    def find(self, image, texts):
        boxes = np.array([[10, 10, 50, 50], [12, 10, 52, 50], [11, 10, 51, 50]], np.float32)
        return Found(boxes, np.array([[0.6, 0.1], [0.9, 0.2], [0.3, 0.5]], np.float32))


@pytest.mark.parametrize(("nms_threshold", "scores"), [(0.5, [0.9, 0.5]), (0.95, [0.9, 0.6, 0.5])])
def test_of_two_of_one_label_that_overlap_the_better_one_stays(nms_threshold, scores):
    found = predict(
        ZeroShotPredictor(Overlapping(), None, "v", ("RBC", "PLT"), TEXTS), nms_threshold=nms_threshold
    )
    assert np.allclose(found.scores, scores) and found.label_indices[0] == 0


def test_masks_are_drawn_in_the_boxes_where_they_are_wanted(owl2):
    drawing = ZeroShotPredictor(load_text_detector(owl2), load_segmenter(None), "v", ("RBC", "PLT"), TEXTS)
    found = predict(drawing, max_regions=3)
    assert any(mask is not None for mask in found.masks)
    for box, mask in zip(found.boxes_xyxy_px, found.masks, strict=True):
        if mask is not None:
            rows, columns = np.nonzero(mask.bits)
            middle = np.array([mask.left_px + columns.mean(), mask.top_px + rows.mean()])
            assert (middle >= box[:2] - 2).all() and (middle <= box[2:] + 2).all()
    assert predict(drawing, max_regions=3, with_masks=False).masks == (None,) * 3


def test_equal_questions_share_batches_and_others_do_not(predictor):
    same = ZeroShotPredictor(predictor.detector, None, "zero-shot-x", ("RBC", "PLT"), TEXTS)
    other = ZeroShotPredictor(predictor.detector, None, "zero-shot-x", ("RBC", "PLT"), ("cell", "platelet"))
    assert same == predictor and hash(same) == hash(predictor) and other != predictor


def copied(folder, into, *, without=(), **changes):
    for file in folder.iterdir():
        if file.name not in without:
            (into / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text()) | changes
    (into / "config.json").write_text(json.dumps(config))
    return into


def test_pickled_weights_are_not_read(owl2, tmp_path):
    copied(owl2, tmp_path, without=["model.safetensors"])
    torch.save(load_file(owl2 / "model.safetensors"), tmp_path / "pytorch_model.bin")
    with pytest.raises(VersionError, match=r"no model\.safetensors, and pickled weights are not read"):
        load_text_detector(tmp_path)


def test_code_of_the_folder_is_not_run(owl2, tmp_path):
    copied(owl2, tmp_path, auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"})
    (tmp_path / "evil.py").write_text("raise SystemExit('code of the folder ran')")
    assert load_text_detector(tmp_path).find(IMAGE, TEXTS).scores.shape[1] == 2


@pytest.mark.parametrize("kind", ["sam", "detr", None])
def test_another_kind_of_network_is_refused_by_its_name(owl2, tmp_path, kind):
    copied(owl2, tmp_path, model_type=kind)
    with pytest.raises(
        VersionError, match=f"type {kind!r}, and only the types grounding-dino, owlv2, owlvit"
    ):
        load_text_detector(tmp_path)


@pytest.mark.parametrize(
    ("without", "why"),
    [
        (["tokenizer.json", "merges.txt"], "texts: tokenizer.json, or vocab.json and merges.txt"),
        (["processor_config.json"], "images: preprocessor_config.json, or processor_config.json"),
    ],
)
def test_a_folder_says_what_it_lacks_to_prepare_its_inputs(owl2, tmp_path, without, why):
    with pytest.raises(VersionError, match=why):
        load_text_detector(copied(owl2, tmp_path, without=without))


def test_half_a_network_is_refused_where_the_library_would_make_up_the_rest(owl2, tmp_path):
    copied(owl2, tmp_path)
    kept = {k: v for k, v in load_file(owl2 / "model.safetensors").items() if "class_head" not in k}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(VersionError, match=r"lacks \d+ weights.*class_head"):
        load_text_detector(tmp_path)


@pytest.mark.parametrize(("content", "why"), [(None, "hub id"), ("{", "not JSON"), ("[]", "type None")])
def test_a_folder_without_a_description_says_what_it_lacks(tmp_path, content, why):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(VersionError, match=why):
        load_text_detector(tmp_path)
