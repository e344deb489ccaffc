"""A SAM-family network in the place of our own prompt network.

Its files lie in a folder as the `transformers` library saves them: `config.json` and `model.safetensors`.
What the image encoder makes of an image is kept with its encoding, so a prompt costs the mask decoder only.
Sources of their conventions: arXiv 2304.02643 and 2408.00714, the library's `SamModel` and `Sam2Model`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from backend.core.geometry.instances import FloatArray, ImageSize
from backend.core.geometry.letterbox import Letterbox
from backend.core.geometry.masks import deepest_pixel
from backend.core.labelstudio.prompts import Prompts
from backend.core.prompting.masks import field_to_mask
from backend.core.prompting.windows import ByteArray, Window, box_around
from backend.errors import VersionError
from backend.nn.prompts.encoding import Encoding
from backend.nn.prompts.hints import likely_label
from backend.nn.prompts.segmenter import BoxMasks, SegmentedObject
from backend.nn.runtime.saved_network import network_type_of
from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops

# Per RGB channel on the scale 0..255, as the networks were trained.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
_ON_OBJECT, _BESIDE = 1, 0
FIELD_SIDE_MAX = 1024
"""Of the field that a stretched mask is drawn into, so that a very long image costs no more memory."""


@dataclass(frozen=True)
class Generation:
    """What SAM's generations differ in.

    model_class: in the `transformers` library. is_stretched: the image fills the square input; otherwise it
    keeps its shape, and zeros lie beside it. logits_limit: of a mask handed back.
    """

    model_class: str
    is_stretched: bool
    logits_limit: float = float("inf")


_SAM_2 = Generation("Sam2Model", is_stretched=True, logits_limit=32.0)
GENERATIONS = {
    "sam": Generation("SamModel", is_stretched=False),
    "sam2": _SAM_2,
    # So the published networks name themselves; what they add for videos is left out.
    "sam2_video": _SAM_2,
}
"""By the type that `config.json` names."""


@dataclass(frozen=True, eq=False)
class _Marks:
    """Prompts in the net frame: points [N, 2] (x, y), their labels [N], box [4] or None."""

    points: FloatArray
    labels: FloatArray
    box: FloatArray | None

    def first_point(self) -> _Marks:
        """Return the same with one point at most: the first on the object."""
        on_object = np.flatnonzero(self.labels == _ON_OBJECT)[:1]
        return _Marks(self.points[on_object], self.labels[on_object], self.box)


class SamSegmenter:
    """Answers prompts with a SAM-family network. Holds no state between calls: threads may share it."""

    def __init__(self, model: Any, generation: Generation, device: str) -> None:
        """Serve a model of the library that is in evaluation mode and on `device`."""
        self._model = model
        self._generation = generation
        self._device = device
        self._side_px = int(model.prompt_encoder.input_image_size)

    def embed(self, image: ByteArray) -> tuple[FloatArray, ...]:
        """Return what the image encoder makes of an RGB image uint8 [H, W, 3]: maps float16 [C, h, w].

        SAM makes one map, SAM 2 three, the finest first.
        """
        letterbox = self._letterbox(ImageSize(image.shape[1], image.shape[0]))
        pixels = torch.from_numpy(letterbox.image_to_net(image)).to(self._device).permute(2, 0, 1).float()
        mean, std = (torch.tensor(values, device=self._device).view(3, 1, 1) for values in (MEAN, STD))
        pixels = (pixels - mean) / std
        # The network knows what lies beside an image as zeros, after the normalisation.
        pixels[:, letterbox.inner_size.height :] = 0
        pixels[:, :, letterbox.inner_size.width :] = 0
        with torch.inference_mode():
            made = self._model.get_image_embeddings(pixels[None])
        maps = (made,) if isinstance(made, torch.Tensor) else made
        return tuple(features[0].cpu().numpy().astype(np.float16) for features in maps)

    def segment(
        self,
        encoding: Encoding,
        prompts: Prompts,
        label_index: int | None = None,
        detector: BoxMasks | None = None,
    ) -> SegmentedObject | None:
        """Return the object that the prompts mean, None where nothing is found.

        As `PromptSegmenter.segment`; encoding: with the features that `embed` returned. The detector is asked
        for a label only.
        """
        if not prompts.is_clear or not encoding.features:
            return None
        features = [torch.from_numpy(kept).to(self._device).float()[None] for kept in encoding.features]
        marks = _marks(prompts, self._letterbox(encoding.size))
        # The first prompt alone chooses the object, the others mend its mask.
        logits, overlap = self._decode(features, marks.first_point(), None)
        if len(marks.labels) > 1 or (marks.box is not None and len(marks.labels)):
            logits, overlap = self._decode(features, marks, logits)
        # The input's top left corner is the image's, and its square as wide as the image's longer side.
        window = Window(0, 0, max(encoding.size.width, encoding.size.height))
        field = logits.sigmoid().cpu().numpy().astype(np.float32)
        if self._generation.is_stretched:
            field = _unstretched(field, encoding.size)
        mask = field_to_mask(field, window, prompts, encoding.size)
        if mask is None:
            return None
        if label_index is None:
            label_index = likely_label(encoding.detections, prompts, mask)
        return SegmentedObject(mask, overlap, label_index)

    def warm_up(self) -> None:
        """Run once over a blank image, so that the first real answer meets ready code."""
        image = np.zeros((64, 64, 3), dtype=np.uint8)
        click = Prompts(np.full((1, 2), 32, dtype=np.float32), np.array([True]))
        size = ImageSize(64, 64)
        self.segment(Encoding(image, size, None, features=self.embed(image)), click)

    def _decode(
        self, features: list[torch.Tensor], marks: _Marks, before: torch.Tensor | None
    ) -> tuple[torch.Tensor, float]:
        """Return mask logits [s, s] over the whole input and how well they are expected to overlap (0..1).

        before: the logits of an earlier answer about the same object.
        """

        def tensor(values: FloatArray) -> torch.Tensor:
            return torch.from_numpy(values).to(self._device)[None, None]

        # One click may mean a part or the whole: the network then offers three masks.
        is_open = marks.box is None and before is None
        limit = self._generation.logits_limit
        with torch.inference_mode():
            output = self._model(
                image_embeddings=features if len(features) > 1 else features[0],
                input_points=tensor(marks.points) if len(marks.points) else None,
                input_labels=tensor(marks.labels.astype(np.int64)) if len(marks.points) else None,
                input_boxes=None if marks.box is None else tensor(marks.box),
                input_masks=None if before is None else before[None, None].clamp(-limit, limit),
                multimask_output=is_open,
            )
        overlaps = output.iou_scores[0, 0]
        best = int(overlaps.argmax())
        return output.pred_masks[0, 0, best].float(), float(overlaps[best].clamp(0, 1))

    def _letterbox(self, size: ImageSize) -> Letterbox:
        letterbox = Letterbox.fit(size, self._side_px)
        if self._generation.is_stretched:
            return Letterbox(size, letterbox.net_size, inner_size=letterbox.net_size)
        return letterbox


def load_sam(folder: Path, device: str = "cpu") -> SamSegmenter:
    """Return the segmenter of a folder with `config.json` and `model.safetensors`; nothing is downloaded.

    Neither pickled weights nor code of the folder are read. Raises VersionError saying what is missing.
    """
    kind = network_type_of(
        folder,
        GENERATIONS,
        purpose="can answer here: SAM and SAM 2, or one in their layout such as SlimSAM",
        hub_id_example="facebook/sam-vit-base",
    )
    generation = GENERATIONS[kind]
    ensure_torchvision_ops()
    try:
        import transformers

        model_class = getattr(transformers, generation.model_class)
    except (ImportError, AttributeError) as exc:
        raise VersionError("the library for it is not installed: pip install 'transformers>=4.56'") from exc
    try:
        model, report = model_class.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    except Exception as exc:  # the library raises what its parts raise, of no common base
        raise VersionError(f"its model.safetensors cannot be read as a SAM network: {exc}") from exc
    # The library fills weights that are not in the file with random numbers.
    if missing := sorted(report["missing_keys"]):
        raise VersionError(
            f"its model.safetensors lacks {len(missing)} weights of a SAM network, such as {missing[0]}; "
            "take the whole network, image encoder and mask decoder"
        )
    return SamSegmenter(model.eval().requires_grad_(False).to(device), generation, device)


def _unstretched(field: FloatArray, size: ImageSize) -> FloatArray:
    """Return a field [S, S] over an image's longer side squared, of one [s, s] that the image fills.

    The image's last row or column goes on beside it.
    """
    longer, shorter = max(size.width, size.height), min(size.width, size.height)
    side = min(FIELD_SIDE_MAX, math.ceil(len(field) * longer / shorter))
    width, height = (max(1, round(side * length / longer)) for length in (size.width, size.height))
    shaped = cv2.resize(field, (width, height), interpolation=cv2.INTER_LINEAR)
    square: FloatArray = np.pad(shaped, ((0, side - height), (0, side - width)), mode="edge")
    return square


def _marks(prompts: Prompts, letterbox: Letterbox) -> _Marks:
    """Return prompts in the frame net: a dab as the point deepest inside it, a rough shape as its box."""
    dabs = [(prompts.painted, _ON_OBJECT), (prompts.erased, _BESIDE)]
    points = [deepest_pixel(patch) for patch, _ in dabs if patch is not None]
    labels = [label for patch, label in dabs if patch is not None]
    points_px = np.concatenate(
        [np.array(points, dtype=np.float32).reshape(-1, 2) + 0.5, prompts.clicks_xy_px]
    )
    box = None
    if prompts.outline_px is not None:
        box = letterbox.boxes_to_net(box_around(prompts.outline_px)).astype(np.float32)
    return _Marks(
        (points_px * np.array(letterbox.scale_xy)).astype(np.float32),
        np.concatenate([np.array(labels, dtype=np.float32), prompts.is_positive.astype(np.float32)]),
        box,
    )
