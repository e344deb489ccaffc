"""Detectors that find what a text names, in the layout of the `transformers` library.

Their files lie in a folder as the library saves them: `config.json`, `model.safetensors`, and what prepares
images and texts. Sources of the conventions: Grounding DINO, arXiv 2303.05499; OWL-ViT, arXiv 2205.06230;
OWLv2, arXiv 2306.09683; and the post-processing of the library's processors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from backend.core.geometry.instances import FloatArray, ImageSize
from backend.core.prompting.windows import ByteArray
from backend.errors import VersionError
from backend.nn.runtime.saved_network import network_type_of
from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops

MOST_TEXT_TOKENS = 250
"""Of one pass of Grounding DINO: it was trained with 256, of which two stand around the text."""


@dataclass(frozen=True, eq=False)
class Found:
    """What one pass proposes: boxes_xyxy_px float32 [Q, 4] in the orig frame, scores float32 [Q, texts]."""

    boxes_xyxy_px: FloatArray
    scores: FloatArray


class TextDetector(Protocol):
    """Finds what texts name. Holds no state between calls: threads may share it."""

    def find(self, image: ByteArray, texts: Sequence[str]) -> Found:
        """Return proposals for an RGB image uint8 [H, W, 3] and how well each text fits each, 0..1."""


class OwlDetector:
    """Serves OWL-ViT and OWLv2: one query for each text, one score for each query and patch of the image."""

    def __init__(self, model: Any, processor: Any, device: str, *, is_square: bool) -> None:
        """Serve a model in evaluation mode on `device`; is_square: its input is the image in a square."""
        self._model = model
        self._processor = processor
        self._device = device
        self._is_square = is_square

    def find(self, image: ByteArray, texts: Sequence[str]) -> Found:
        """Return one proposal for each patch."""
        queries = self._processor.tokenizer(
            list(texts),
            padding="max_length",
            truncation=True,
            max_length=self._model.config.text_config.max_position_embeddings,
            return_tensors="pt",
        )
        pixels = self._processor.image_processor(images=image, return_tensors="pt")["pixel_values"]
        with torch.inference_mode():
            output = self._model(
                input_ids=queries["input_ids"].to(self._device),
                attention_mask=queries["attention_mask"].to(self._device),
                pixel_values=pixels.to(self._device),
            )
        height, width = image.shape[:2]
        # OWLv2's input is the image in the upper left corner of a square as wide as its longer side.
        frame = (
            ImageSize(max(height, width), max(height, width)) if self._is_square else ImageSize(width, height)
        )
        return Found(_boxes(output.pred_boxes[0], frame), output.logits[0].float().sigmoid().cpu().numpy())


class GroundingDinoDetector:
    """Serves Grounding DINO: one score for each query and token of a text that lists what is looked for."""

    def __init__(self, model: Any, processor: Any, device: str) -> None:
        """Serve a model in evaluation mode on `device`."""
        self._model = model
        self._processor = processor
        self._device = device

    def find(self, image: ByteArray, texts: Sequence[str]) -> Found:
        """Return one proposal for each query; as many passes as the texts need."""
        phrases = [" ".join(text.replace(".", " ").lower().split()) for text in texts]
        tokens = [
            self._processor.tokenizer(phrase, add_special_tokens=False)["input_ids"] for phrase in phrases
        ]
        prepared = self._processor.image_processor(images=image, return_tensors="pt").to(self._device)
        boxes, scores = [], []
        for rows in _passes([len(ids) for ids in tokens]):
            found = self._pass(
                image, prepared, [phrases[row] for row in rows], [len(tokens[row]) for row in rows]
            )
            boxes.append(found.boxes_xyxy_px)
            of_all = np.zeros((len(found.scores), len(texts)), np.float32)
            of_all[:, rows] = found.scores
            scores.append(of_all)
        return Found(np.concatenate(boxes), np.concatenate(scores))

    def _pass(self, image: ByteArray, prepared: Any, phrases: Sequence[str], lengths: Sequence[int]) -> Found:
        # The form in which it was trained: lower case, each phrase ended by a full stop.
        text = "".join(f"{phrase}. " for phrase in phrases).strip()
        tokens = self._processor.tokenizer(text, return_tensors="pt", return_token_type_ids=True)
        with torch.inference_mode():
            output = self._model(
                pixel_values=prepared["pixel_values"],
                pixel_mask=prepared["pixel_mask"],
                **tokens.to(self._device),
            )
        of_tokens = output.logits[0].float().sigmoid().cpu().numpy()
        scores = np.zeros((len(of_tokens), len(phrases)), np.float32)
        start = 1  # after the token that begins every text
        for column, length in enumerate(lengths):
            if length:  # a text of nothing that the network knows names nothing
                scores[:, column] = of_tokens[:, start : start + length].max(axis=1)
            start += length + 1
        height, width = image.shape[:2]
        return Found(_boxes(output.pred_boxes[0], ImageSize(width, height)), scores)


def load_text_detector(folder: Path, device: str = "cpu") -> TextDetector:
    """Return the detector of a folder; nothing is downloaded.

    Neither pickled weights nor code of the folder are read. Raises VersionError saying what is missing.
    """
    kind = _checked_kind(folder)
    ensure_torchvision_ops()
    try:
        import transformers
    except ImportError as exc:
        raise VersionError("the library for it is not installed: pip install 'transformers>=4.49'") from exc
    model_class, processor_class = (getattr(transformers, name) for name in _CLASSES[kind])
    try:
        processor = processor_class.from_pretrained(folder, local_files_only=True)
    except Exception as exc:  # the library raises what its parts raise, of no common base
        raise VersionError(f"what prepares its images and texts cannot be read: {exc}") from exc
    try:
        model, report = model_class.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as exc:
        raise VersionError(
            f"its model.safetensors cannot be read as a network of type {kind}: {exc}"
        ) from exc
    # The library fills weights that are not in the file with random numbers.
    if missing := sorted(report["missing_keys"]):
        raise VersionError(
            f"its model.safetensors lacks {len(missing)} weights of a network of type {kind}, such as "
            f"{missing[0]}; take the whole detector"
        )
    model = model.eval().requires_grad_(False).to(device)
    if kind == _GROUNDING:
        return GroundingDinoDetector(model, processor, device)
    return OwlDetector(model, processor, device, is_square=kind == _OWL2)


_GROUNDING, _OWL2 = "grounding-dino", "owlv2"
# By the type in config.json: the library's classes of network and of what prepares its inputs.
_CLASSES = {
    _GROUNDING: ("GroundingDinoForObjectDetection", "GroundingDinoProcessor"),
    _OWL2: ("Owlv2ForObjectDetection", "Owlv2Processor"),
    "owlvit": ("OwlViTForObjectDetection", "OwlViTProcessor"),
}
_CLIP_WORDS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
# Without these the library makes an empty vocabulary and says nothing. Any one of the alternatives will do.
_WORDS = {_GROUNDING: (("tokenizer.json",), ("vocab.txt",)), _OWL2: _CLIP_WORDS, "owlvit": _CLIP_WORDS}
_PREPARATION = (("preprocessor_config.json",), ("processor_config.json",))


def _checked_kind(folder: Path) -> str:
    """Return the type of the network. Raises VersionError unless it is a known one, as safetensors."""
    kind = network_type_of(
        folder,
        _CLASSES,
        purpose="can find what a text names here",
        hub_id_example="IDEA-Research/grounding-dino-tiny",
    )
    for what, alternatives in (("images", _PREPARATION), ("texts", _WORDS[kind])):
        if not any(all((folder / name).is_file() for name in names) for names in alternatives):
            wanted = ", or ".join(" and ".join(names) for names in alternatives)
            raise VersionError(
                f"it lacks what prepares its {what}: {wanted}; take them from where the weights are"
            )
    return kind


def _passes(lengths: Sequence[int]) -> list[list[int]]:
    """Return the texts of each pass by number, as many as fit; lengths: their tokens, without full stops."""
    passes: list[list[int]] = [[]]
    used = 0
    for row, length in enumerate(lengths):
        if passes[-1] and used + length + 1 > MOST_TEXT_TOKENS:
            passes.append([])
            used = 0
        passes[-1].append(row)
        used += length + 1
    return passes


def _boxes(boxes_cxcywh: torch.Tensor, frame: ImageSize) -> FloatArray:
    """Return boxes_xyxy_px float32 [Q, 4] of boxes in shares of a frame (centre x, centre y, w, h)."""
    values = boxes_cxcywh.float().cpu().numpy()
    centres, halves = values[:, :2], values[:, 2:] / 2
    sides = np.array([frame.width, frame.height], np.float32)
    found: FloatArray = np.concatenate([(centres - halves) * sides, (centres + halves) * sides], axis=1)
    return found.astype(np.float32)
