"""Images in, objects in the images' own pixels out: the border between arrays and tensors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from backend.core.instances import Detections, ImageSize, MaskPatch
from backend.core.letterbox import Letterbox
from backend.errors import ParameterError, VersionError
from backend.nn.fuse import fuse_normalisation
from backend.nn.network import Architecture, InstanceNetwork
from backend.nn.postprocess import Candidates, object_mask, select_candidates
from backend.nn.precision import is_bf16_faster
from backend.nn.score_map import ScoreMap, expected_f1
from backend.nn.segmentation_head import mask_windows

WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "card.json"
STRIDE_MAX = 32
BATCH_SIZE = 8
# Candidates down to here count as objects that may have been missed when an image is scored.
SCORE_FLOOR = 0.05

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
    ) -> None:
        """Serve a network that is in eval mode and on `device`; autocast runs it in bfloat16."""
        self.labels = tuple(labels)
        self.version = version
        self.architecture = network.architecture
        self._network = network
        self._score_map = score_map
        self._device = torch.device(device)
        self._autocast = autocast
        self._dtype = next(network.parameters()).dtype

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
        letterboxes = [Letterbox.fit(s, net_size(s, self.architecture)) for s in map(_size_of, images)]
        order = sorted(range(len(images)), key=lambda i: _shape_of(letterboxes[i]))
        batches = _batches_of_one_shape(order, letterboxes)
        results: list[Detections | None] = [None] * len(images)

        def prepare(batch: list[int]) -> torch.Tensor:
            return torch.from_numpy(np.stack([letterboxes[i].image_to_net(images[i]) for i in batch]))

        def finish(i: int, output: dict[str, Any], row: int) -> None:
            results[i] = self._finish(
                output, row, letterboxes[i], confidence_threshold, nms_threshold, max_regions
            )

        wants_masks = with_masks and self._network.segmentation_head is not None
        with ThreadPoolExecutor(max_workers=2) as pool:
            ready = [pool.submit(prepare, batch) for batch in batches]
            endings = []
            for batch, tensor in zip(batches, ready, strict=True):
                output = self._run(tensor.result())
                output["with_masks"] = wants_masks
                endings += [pool.submit(finish, i, output, row) for row, i in enumerate(batch)]
            for ending in endings:
                ending.result()
        return [r for r in results if r is not None]

    def _run(self, images: torch.Tensor) -> dict[str, Any]:
        network = self._network
        enabled = self._autocast
        with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=enabled):
            net_input = network.normalise(images.to(self._device, non_blocking=True))
            maps = network(net_input.to(self._dtype))
            output: dict[str, Any] = {
                "logits": maps["class_logits"].float().cpu().numpy(),
                "boxes": maps["boxes_xyxy_px"].float().cpu().numpy(),
            }
            if network.segmentation_head is not None:
                output["maps"] = maps
        return output

    def _finish(
        self,
        output: dict[str, Any],
        row: int,
        letterbox: Letterbox,
        confidence_threshold: float,
        nms_threshold: float,
        max_regions: int,
    ) -> Detections:
        found = select_candidates(
            output["logits"][row],
            output["boxes"][row],
            self._score_map,
            score_floor=min(SCORE_FLOOR, confidence_threshold),
            nms_threshold=nms_threshold,
        )
        image_score = expected_f1(found.scores, confidence_threshold)
        kept = found.take(found.scores >= confidence_threshold).take(slice(max_regions))
        boxes = letterbox.boxes_to_orig(kept.boxes_xyxy_px)
        is_inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        kept, boxes = kept.take(is_inside), boxes[is_inside]
        masks: tuple[MaskPatch | None, ...] = (None,) * len(kept)
        if output["with_masks"] and len(kept):
            masks = self._masks(output["maps"], row, kept, letterbox)
        return Detections(letterbox.size, boxes, kept.scores, kept.label_indices, masks, image_score)

    def _masks(
        self, maps: dict[str, torch.Tensor], row: int, kept: Candidates, letterbox: Letterbox
    ) -> tuple[MaskPatch | None, ...]:
        head = self._network.segmentation_head
        if head is None:
            return (None,) * len(kept)
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast),
        ):
            windows = mask_windows(torch.from_numpy(kept.boxes_xyxy_px).to(self._device))
            residuals = head.window_residuals(
                maps["fine"][row : row + 1], maps["coarse"][row : row + 1], [windows], dtype=self._dtype
            )
            semantic = maps["semantic"][row].float().cpu().numpy()
        window_boxes, extra = windows.cpu().numpy(), residuals.cpu().numpy()
        return tuple(
            object_mask(semantic[label], extra[k], window_boxes[k], letterbox)
            for k, label in enumerate(kept.label_indices)
        )


def load_predictor(folder: Path, device: str = "cpu") -> Predictor:
    """Rebuild the predictor of a version folder from its weights and its card alone.

    Raises VersionError naming the file that is missing, damaged or does not fit.
    """
    card = read_card(folder)
    try:
        architecture = Architecture.from_card(card["architecture"])
        score_map = ScoreMap.from_card(card["score_map"])
        labels = tuple(str(label) for label in card["labels"])
        network = InstanceNetwork(architecture)
    except (KeyError, TypeError, ValueError, ParameterError) as exc:
        raise VersionError(f"{CARD_FILE} in {folder.name} does not describe a network: {exc!r}") from exc
    load_weights(network, folder / WEIGHTS_FILE)
    network.eval().requires_grad_(False)
    fuse_normalisation(network)
    network.to(device, memory_format=torch.channels_last)
    if is_bf16_faster(device):
        network.to(torch.bfloat16)
        network.mean, network.std = network.mean.float(), network.std.float()
    return Predictor(network, labels, score_map, version=str(card.get("version", folder.name)), device=device)


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


def _shape_of(letterbox: Letterbox) -> tuple[int, int]:
    return letterbox.net_size.height, letterbox.net_size.width


def _batches_of_one_shape(order: list[int], letterboxes: list[Letterbox]) -> list[list[int]]:
    batches: list[list[int]] = []
    for i in order:
        fits = batches and _shape_of(letterboxes[batches[-1][0]]) == _shape_of(letterboxes[i])
        if fits and len(batches[-1]) < BATCH_SIZE:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches
