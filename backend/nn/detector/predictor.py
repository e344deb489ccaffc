"""Images in, objects in the images' own pixels out: the border between arrays and tensors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from backend.core.geometry.instances import Detections, FloatArray, ImageSize, MaskPatch
from backend.core.geometry.letterbox import Letterbox
from backend.core.geometry.mask_maps import MaskMaps
from backend.errors import ParameterError, VersionError
from backend.nn.detector.fuse import fuse_normalisation
from backend.nn.detector.heads.masks.decoding import (
    MASK_CUT_LOGIT,
    SPECK_SHARE,
    Candidates,
    object_mask,
    select_candidates,
)
from backend.nn.detector.heads.masks.module import MASK_STRIDE, mask_windows
from backend.nn.detector.heads.score_map import ScoreMap, expected_f1
from backend.nn.detector.network import Architecture, InstanceNetwork
from backend.nn.runtime.precision import in_channels_last, is_bf16_faster
from backend.nn.runtime.threads import run_side_by_side

WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "card.json"
STRIDE_MAX = 32
BATCH_SIZE = 8
# One thread prepares or finishes images while the other feeds the accelerator; more would fill its memory.
ACCELERATOR_WORKERS = 2
# Candidates down to here count as objects that may have been missed when an image is scored.
SCORE_FLOOR = 0.05
# Where calibrated scores are meant to be cut: the default confidence threshold.
DEFAULT_CUT = 0.30
# A box that holds no place likelier than this to show the label holds nothing to outline.
LEAST_PEAK_LOGIT = 0.0
_HALF_MAX = 6e4  # a little below float16's largest number

Image = npt.NDArray[np.uint8]


class Predictor:
    """A trained network that answers in the orig frame; keeps nothing between calls: threads may share it."""

    def __init__(
        self,
        network: InstanceNetwork,
        labels: Sequence[str],
        score_map: ScoreMap,
        *,
        version: str = "",
        device: str = "cpu",
        autocast: bool = False,
        speck_shares: Sequence[float] = (),
        mask_cut_logit: float = MASK_CUT_LOGIT,
        empty_share: float = 0.5,
    ) -> None:
        """Serve a network that is in eval mode and on `device`; autocast runs it in bfloat16.

        speck_shares (per label; empty for the usual share) and mask_cut_logit: as in `object_mask`;
        empty_share: as in `expected_f1`.
        """
        self.labels = tuple(labels)
        self.version = version
        self.architecture = network.architecture
        self._network = network
        self._score_map = score_map
        self._device = torch.device(device)
        self._autocast = autocast
        self._mask_cut_logit = mask_cut_logit
        self._empty_share = empty_share
        self._speck_shares = tuple(speck_shares) or (SPECK_SHARE,) * len(self.labels)
        self._dtype = next(network.parameters()).dtype

    def input_size(self, image: Image) -> ImageSize:
        """Return the size that an image [H, W, 3] has as the network's input."""
        return net_size(_size_of(image), self.architecture)

    def predict(
        self,
        images: Sequence[Image],
        *,
        confidence_threshold: float,
        nms_threshold: float,
        with_masks: bool = True,
        max_regions: int = 100,
    ) -> list[Detections]:
        """Return the objects of each image, uint8 [H, W, 3] RGB, in the order of the images."""
        if not images:
            return []
        letterboxes = [Letterbox.fit(_size_of(image), self.input_size(image)) for image in images]
        cuts = _Cuts(confidence_threshold, nms_threshold, max_regions)
        wants_masks = with_masks and self._network.segmentation_head is not None

        def answer(batch: list[int]) -> list[Detections]:
            return self._predict_batch(
                [images[i] for i in batch], [letterboxes[i] for i in batch], cuts, wants_masks
            )

        workers = torch.get_num_threads() if self._device.type == "cpu" else ACCELERATOR_WORKERS
        batches = _batches_of_one_shape(letterboxes, batch_size_for(len(images), workers))
        answers = run_side_by_side(answer, batches, workers)
        found = {
            i: d
            for batch, some in zip(batches, answers, strict=True)
            for i, d in zip(batch, some, strict=True)
        }
        return [found[i] for i in range(len(images))]

    def look(
        self, image: Image, *, confidence_threshold: float, nms_threshold: float, max_regions: int = 100
    ) -> tuple[Detections, MaskMaps | None]:
        """Return the objects of one image and what `mask_in_box` needs; None where no masks were learned."""
        letterbox = Letterbox.fit(_size_of(image), self.input_size(image))
        maps = self._run(torch.from_numpy(letterbox.image_to_net(image)[None]))
        kept, score = self._choose(_Cuts(confidence_threshold, nms_threshold, max_regions), maps, 0)
        if self._network.segmentation_head is None:
            return self._finish(kept, score, letterbox, None), None
        detections = self._finish(kept, score, letterbox, self._mask_logits(maps, [kept])[0])
        fine, coarse, semantic = (
            maps[name][0].float().clamp(-_HALF_MAX, _HALF_MAX).cpu().numpy().astype(np.float16)
            for name in ("fine", "coarse", "semantic")
        )
        return detections, MaskMaps(letterbox.net_size, fine, coarse, semantic)

    def mask_in_box(
        self, maps: MaskMaps, size: ImageSize, box_xyxy_px: FloatArray, label_index: int | None
    ) -> MaskPatch | None:
        """Return the mask of what a box [4] was drawn around, both in the orig frame; None for nothing known.

        maps: of `look` on the same image, which is `size` large. label_index: None for the label that is
        likeliest within the box.
        """
        head = self._network.segmentation_head
        assert head is not None
        letterbox = Letterbox.fit(size, maps.net_size)
        scale_x, scale_y = letterbox.scale_xy
        box = box_xyxy_px.astype(np.float32) * np.array([scale_x, scale_y] * 2, dtype=np.float32)
        left, top, right, bottom = (int(v) for v in np.round(box / MASK_STRIDE))
        rows = slice(max(top, 0), max(bottom, top + 1, 0))
        columns = slice(max(left, 0), max(right, left + 1, 0))
        inside = maps.semantic[:, rows, columns]
        if not inside.size:
            return None
        if label_index is None:
            label_index = int(inside.astype(np.float32).mean(axis=(1, 2)).argmax())
        if inside[label_index].max() < LEAST_PEAK_LOGIT:
            return None
        windows = [mask_windows(torch.from_numpy(box[None]).to(self._device))]
        fine, coarse = (
            torch.from_numpy(values[None]).to(self._device, self._dtype)
            for values in (maps.fine, maps.coarse)
        )
        with torch.inference_mode(), self._precision():
            residual = head.window_residuals(fine, coarse, windows, dtype=self._dtype)
        return object_mask(
            maps.semantic[label_index].astype(np.float32),
            residual[0].cpu().numpy(),
            windows[0][0].cpu().numpy(),
            letterbox,
            speck_share=self._speck_shares[label_index],
            cut_logit=self._mask_cut_logit,
        )

    def _predict_batch(
        self, images: Sequence[Image], letterboxes: Sequence[Letterbox], cuts: _Cuts, wants_masks: bool
    ) -> list[Detections]:
        """Return the objects of images whose letterboxes have one net size."""
        prepared = [box.image_to_net(image) for box, image in zip(letterboxes, images, strict=True)]
        maps = self._run(torch.from_numpy(np.stack(prepared)))
        chosen = [self._choose(cuts, maps, row) for row in range(len(images))]
        masks: Sequence[_MaskLogits | None] = [None] * len(images)
        if wants_masks:
            masks = self._mask_logits(maps, [kept for kept, _ in chosen])
        return [
            self._finish(kept, score, letterbox, mask_logits)
            for (kept, score), letterbox, mask_logits in zip(chosen, letterboxes, masks, strict=True)
        ]

    def _run(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        with torch.inference_mode(), self._precision():
            net_input = self._network.normalise(images.to(self._device, non_blocking=True))
            maps = self._network(net_input.to(self._dtype))
        cells = ("class_logits", "boxes_xyxy_px")
        return {k: v.float().cpu() if k in cells else v for k, v in maps.items()}

    def _choose(self, cuts: _Cuts, maps: dict[str, torch.Tensor], row: int) -> tuple[Candidates, float]:
        """Return the objects of one image to report, in the net frame, and the image's score."""
        found = select_candidates(
            maps["class_logits"][row].numpy(),
            maps["boxes_xyxy_px"][row].numpy(),
            self._score_map,
            score_floor=min(SCORE_FLOOR, cuts.confidence),
            nms_threshold=cuts.nms,
        )
        # The same however deep one asks, so that scores of different requests can be sorted together.
        counted = found.scores[found.scores >= SCORE_FLOOR]
        image_score = expected_f1(counted, max(cuts.confidence, DEFAULT_CUT), self._empty_share)
        return found.take(found.scores >= cuts.confidence).take(slice(cuts.max_regions)), image_score

    def _mask_logits(self, maps: dict[str, torch.Tensor], kept: Sequence[Candidates]) -> list[_MaskLogits]:
        """Compute the object masks of a batch at once: one image alone would not fill the processor."""
        head = self._network.segmentation_head
        assert head is not None
        with torch.inference_mode(), self._precision():
            boxes = [torch.from_numpy(k.boxes_xyxy_px).to(self._device) for k in kept]
            windows = [mask_windows(b) for b in boxes]
            residuals = head.window_residuals(maps["fine"], maps["coarse"], windows, dtype=self._dtype)
            semantic = maps["semantic"].float().cpu().numpy()
            parts = residuals.cpu().split([len(k) for k in kept])
        return [
            _MaskLogits(s, w.cpu().numpy(), r.numpy())
            for s, w, r in zip(semantic, windows, parts, strict=True)
        ]

    def _finish(
        self, kept: Candidates, image_score: float, letterbox: Letterbox, mask_logits: _MaskLogits | None
    ) -> Detections:
        """Bring the objects of one image into its own pixels; what lies in the padding is dropped."""
        boxes = letterbox.boxes_to_orig(kept.boxes_xyxy_px)
        inside = np.flatnonzero((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
        masks: tuple[MaskPatch | None, ...] = (None,) * len(inside)
        if mask_logits is not None:
            masks = tuple(
                object_mask(
                    mask_logits.semantic[kept.label_indices[k]],
                    mask_logits.residuals[k],
                    mask_logits.windows_xyxy_px[k],
                    letterbox,
                    speck_share=self._speck_shares[kept.label_indices[k]],
                    cut_logit=self._mask_cut_logit,
                )
                for k in inside
            )
        kept = kept.take(inside)
        return Detections(letterbox.size, boxes[inside], kept.scores, kept.label_indices, masks, image_score)

    def _precision(self) -> torch.autocast:
        return torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast)


@dataclass(frozen=True)
class _Cuts:
    confidence: float
    nms: float
    max_regions: int


@dataclass(frozen=True, eq=False)
class _MaskLogits:
    """Of one image: semantic [L, h, w], windows_xyxy_px [K, 4] in the net frame, residuals [K, 28, 28]."""

    semantic: FloatArray
    windows_xyxy_px: FloatArray
    residuals: FloatArray


def load_predictor(folder: Path, device: str = "cpu") -> Predictor:
    """Rebuild the predictor of a version folder from its weights and its card alone.

    Raises VersionError naming the file that is missing, damaged or does not fit.
    """
    card = read_card(folder)
    try:
        architecture = Architecture.from_card(card["architecture"])
        score_map = ScoreMap.from_card(card["score_map"])
        labels = tuple(str(label) for label in card["labels"])
        speck_shares = tuple(float(share) for share in card.get("speck_shares", ()))
        mask_cut_logit = float(card.get("mask_cut_logit", MASK_CUT_LOGIT))
        # Versions from before this was counted keep the scores that they had.
        empty_share = float(card.get("empty_share", 0.5))
        if not 0 < empty_share < 1:
            raise ValueError(f"empty_share must lie between 0 and 1, got {empty_share}")
        network = InstanceNetwork(architecture)
    except (KeyError, TypeError, ValueError, ParameterError) as exc:
        raise VersionError(f"{CARD_FILE} in {folder.name} does not describe a network: {exc!r}") from exc
    load_weights(network, folder / WEIGHTS_FILE)
    network.eval().requires_grad_(False)
    fuse_normalisation(network)
    in_channels_last(network).to(device)
    if is_bf16_faster(device):
        network.to(torch.bfloat16)
        network.mean, network.std = network.mean.float(), network.std.float()
    return Predictor(
        network,
        labels,
        score_map,
        version=str(card.get("version", folder.name)),
        device=device,
        speck_shares=speck_shares,
        mask_cut_logit=mask_cut_logit,
        empty_share=empty_share,
    )


def read_card(folder: Path) -> dict[str, Any]:
    """Return the card of a version folder. Raises VersionError."""
    try:
        card = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise VersionError(f"cannot read {CARD_FILE} of version {folder.name}: {exc}") from exc
    if not isinstance(card, dict):
        raise VersionError(f"{CARD_FILE} of version {folder.name} holds no object")
    return card


def load_weights(network: InstanceNetwork, path: Path) -> None:
    """Fill a network from a safetensors file. Raises VersionError where it is damaged or does not fit."""
    try:
        state = load_file(path)
        network.load_state_dict({name: value.float() for name, value in state.items()}, strict=True)
    except Exception as exc:  # safetensors has no public base of its errors
        raise VersionError(f"{path.name} of {path.parent.name} does not fit its card: {exc}") from exc


def net_size(size: ImageSize, architecture: Architecture) -> ImageSize:
    """Return the input an image of this size is letterboxed into."""
    longest = architecture.image_size_px
    if architecture.canvas == "square":
        return ImageSize(longest, longest)
    scale = longest / max(size.width, size.height)

    def padded(side_px: int) -> int:
        return min(longest, max(1, -(-round(side_px * scale) // STRIDE_MAX)) * STRIDE_MAX)

    return ImageSize(padded(size.width), padded(size.height))


def _size_of(image: Image) -> ImageSize:
    return ImageSize(image.shape[1], image.shape[0])


def _shape_of(letterbox: Letterbox) -> tuple[int, int, int]:
    size = letterbox.net_size
    return size.width * size.height, size.height, size.width


def batch_size_for(image_count: int, workers: int) -> int:
    """Return how many images to compute at once, so that every worker has some."""
    return min(BATCH_SIZE, -(-image_count // workers))


def _batches_of_one_shape(letterboxes: Sequence[Letterbox], most: int) -> list[list[int]]:
    """Return which images go together, large inputs first: what is left to the end should be short."""
    batches: list[list[int]] = []
    for i in sorted(range(len(letterboxes)), key=lambda i: _shape_of(letterboxes[i]), reverse=True):
        fits = batches and _shape_of(letterboxes[batches[-1][0]]) == _shape_of(letterboxes[i])
        if fits and len(batches[-1]) < most:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches
