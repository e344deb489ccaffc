"""Images in, what the heads find in the images' own pixels out: the border between arrays and tensors."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from backend.core.geometry.instances import MOST_REGIONS, Detections, FloatArray, ImageSize, MaskPatch
from backend.core.geometry.letterbox import Letterbox
from backend.core.geometry.mask_maps import MaskMaps
from backend.core.geometry.tiling import MOST_IN_VIEW, Tiling
from backend.core.text.lines import LineHabit
from backend.core.versions.card import VersionCard, parse_card
from backend.errors import ParameterError, VersionError
from backend.nn.detector.architecture import Architecture
from backend.nn.detector.fuse import fuse_normalisation
from backend.nn.detector.heads.catalog import HEADS
from backend.nn.detector.heads.head import AnyHead
from backend.nn.detector.heads.semantic import MASK_STRIDE
from backend.nn.detector.heads.serving import Found, Request, Serving
from backend.nn.detector.network import InstanceNetwork
from backend.nn.detector.tiles import MOST_LABELLED, predict_in_views, read_tiling, regions_bound
from backend.nn.runtime.precision import in_channels_last, is_bf16_faster
from backend.nn.runtime.threads import each_side_by_side

WEIGHTS_FILE = "weights.safetensors"
CARD_FILE = "card.json"
MIRRORED_VIEW = "mirrored_view"
"""The card's fact whether images are looked at mirrored as well; versions of earlier releases have none."""
STRIDE_MAX = 32
BATCH_SIZE = 8
# One thread prepares or finishes images while the other feeds the accelerator; more would fill its memory.
ACCELERATOR_WORKERS = 2
# A box that holds no place likelier than this to show the label holds nothing to outline.
LEAST_PEAK_LOGIT = 0.0

Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class InTiles:
    """How a predictor cuts images: into which views, what predicts one, and how many regions an image has."""

    tiling: Tiling
    uncut: Predictor
    most_regions: int


class Predictor:
    """A trained network that answers in the orig frame; keeps nothing between calls: threads may share it."""

    def __init__(
        self,
        network: InstanceNetwork,
        labels: Sequence[str],
        readings: Mapping[str, Any] | None = None,
        *,
        version: str = "",
        line_habit: LineHabit | None = None,
        tiling: Tiling | None = None,
        mirrored_view: bool = False,
        most_regions: int = MOST_REGIONS,
        device: str = "cpu",
        autocast: bool = False,
    ) -> None:
        """Serve a network that is in eval mode and on `device`; autocast runs it in bfloat16.

        readings: how to read the outputs of a head, by its name; heads without one are read as is usual.
        line_habit: how lines of text were drawn in what was learned from; None for no lines. tiling: how
        images are cut; None where they are looked at whole. mirrored_view: whether whole images are looked
        at a second time, mirrored; tiles overlap, so much is seen twice as it is. most_regions: the bound for
        an image where a request gives none.
        """
        self.labels = tuple(labels)
        self.version = version
        self.line_habit = line_habit
        self.most_regions = most_regions
        self.architecture = network.architecture
        self._network = network
        self._device = torch.device(device)
        self._autocast = autocast
        self._mirrored_view = mirrored_view and tiling is None
        self._dtype = next(network.parameters()).dtype
        known = readings or {}
        self.serving = {
            head: Serving(
                network.module_of(head),
                known.get(head.name) or head.reading((), len(self.labels)),
                self._device,
                self._dtype,
                autocast,
            )
            for head in network.architecture.heads
        }
        turned = {index for head, one in self.serving.items() for index in head.turned_labels(one.reading)}
        self.turned_labels = frozenset(self.labels[index] for index in turned)
        self.in_tiles: InTiles | None = None
        if tiling is not None:
            self.in_tiles = InTiles(tiling, copy.copy(self), most_regions)

    @property
    def most_at_once(self) -> int | None:
        """As many images as the queue gives: a batch costs less than they do alone."""
        return None

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
        max_regions: int | None = None,
    ) -> list[Detections]:
        """Return what is found in each image, uint8 [H, W, 3] RGB, in the order of the images.

        max_regions: at most so many in each; None for as many as the labels call for.
        """
        if not images:
            return []
        max_regions = self.most_regions if max_regions is None else max_regions
        if self.in_tiles is not None:
            request = Request(confidence_threshold, nms_threshold, min(max_regions, MOST_IN_VIEW), with_masks)
            return predict_in_views(
                partial(self.in_tiles.uncut.found_in_each, request=request),
                self.in_tiles.tiling,
                images,
                nms_threshold=nms_threshold,
                max_regions=max_regions,
            )
        request = Request(confidence_threshold, nms_threshold, max_regions, with_masks)
        found = dict(self.found_in_each(images, request))
        return [found[i] for i in range(len(images))]

    def found_in_each(self, images: Sequence[Image], request: Request) -> Iterator[tuple[int, Detections]]:
        """Yield each image's position and what is found in it, seen whole, as soon as it is known.

        Nothing is kept here of what was yielded: in thousands of views that would fill the memory.
        """
        letterboxes = [Letterbox.fit(_size_of(image), self.input_size(image)) for image in images]

        def answer(batch: list[int]) -> list[Detections]:
            boxes = [letterboxes[i] for i in batch]
            outputs = self.outputs([images[i] for i in batch], boxes, mirrored_view=self._mirrored_view)
            return [found.detections() for found in self.decode(outputs, boxes, request)]

        workers = torch.get_num_threads() if self._device.type == "cpu" else ACCELERATOR_WORKERS
        batches = batches_of_one_shape(letterboxes, batch_size_for(len(images), workers))
        for batch, some in zip(batches, each_side_by_side(answer, batches, workers), strict=True):
            yield from zip(batch, some, strict=True)

    def detect_with_maps(
        self, image: Image, *, confidence_threshold: float, nms_threshold: float, max_regions: int = 100
    ) -> tuple[Detections, MaskMaps | None]:
        """Return the objects of one image and what `mask_in_box` needs; None where no masks were learned.

        Somebody waits for it, so the image is looked at once.
        """
        letterbox = Letterbox.fit(_size_of(image), self.input_size(image))
        outputs = self.outputs([image], [letterbox])
        request = Request(confidence_threshold, nms_threshold, max_regions)
        (found,) = self.decode(outputs, [letterbox], request)
        keeping = next((head for head in self.serving if head.keeps_maps), None)
        maps = None if keeping is None else keeping.kept_maps(outputs, letterbox.net_size)
        return found.detections(), maps

    def mask_in_box(
        self, maps: MaskMaps, size: ImageSize, box_xyxy_px: FloatArray, label_index: int | None
    ) -> MaskPatch | None:
        """Return the mask of what a box [4] was drawn around, both in the orig frame; None for nothing known.

        maps: of `detect_with_maps` on the same image, which is `size` large. label_index: None for the label
        that is likeliest within the box.
        """
        letterbox = Letterbox.fit(size, maps.net_size)
        box = letterbox.boxes_to_net(box_xyxy_px.astype(np.float32)[None])[0]
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
        head, serving = next((h, s) for h, s in self.serving.items() if h.keeps_maps)
        return head.mask_in_box(serving, maps, letterbox, box, label_index)

    def outputs(
        self, images: Sequence[Image], letterboxes: Sequence[Letterbox], *, mirrored_view: bool = False
    ) -> dict[str, torch.Tensor]:
        """Return what the network makes of images whose letterboxes have one net size.

        mirrored_view: complete it by what the network makes of the mirrored images.
        """
        prepared = [box.image_to_net(image) for box, image in zip(letterboxes, images, strict=True)]
        net_images = torch.from_numpy(np.stack(prepared))
        outputs = self.run(net_images)
        if not mirrored_view:
            return outputs
        in_mirror = self.run(net_images.flip(2))
        together = dict(outputs)
        for head in self.serving:
            together |= head.of_both_views(outputs, in_mirror, letterboxes[0].net_size)
        return together

    def run(self, net_images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return what the network makes of letterboxed images, uint8 [N, H, W, 3]."""
        with (
            torch.inference_mode(),
            torch.autocast(self._device.type, torch.bfloat16, enabled=self._autocast),
        ):
            net_input = self._network.normalise(net_images.to(self._device, non_blocking=True))
            outputs: dict[str, torch.Tensor] = self._network(net_input.to(self._dtype))
        return outputs

    def decode(
        self, outputs: Mapping[str, torch.Tensor], letterboxes: Sequence[Letterbox], request: Request
    ) -> list[Found]:
        """Return what all heads find in each image of a batch."""
        found = [Found.nothing(letterbox) for letterbox in letterboxes]
        for head, serving in self.serving.items():
            found = head.decode(serving, outputs, found, request)
        return found


def load_predictor(folder: Path, device: str = "cpu", heads: tuple[AnyHead, ...] = HEADS) -> Predictor:
    """Rebuild the predictor of a version folder from its weights and its card alone; heads: those there are.

    Raises VersionError naming the file that is missing, damaged or does not fit.
    """
    card = read_card(folder)
    try:
        architecture = Architecture.from_card(card.facts["architecture"], heads)
        if architecture.label_count != len(card.labels):
            raise ValueError(f"{len(card.labels)} labels, and a network for {architecture.label_count}")
        readings = {head.name: head.reading_of(card.facts, len(card.labels)) for head in architecture.heads}
        network = InstanceNetwork(architecture)
        tiling = read_tiling(card.facts)
    except (KeyError, TypeError, ValueError, ParameterError) as exc:
        raise VersionError(f"{CARD_FILE} in {folder.name} does not describe a network: {exc!r}") from exc
    load_weights(network, folder / WEIGHTS_FILE)
    network.eval().requires_grad_(False)
    fuse_normalisation(network)
    in_channels_last(network).to(device)
    if is_bf16_faster(device):
        network.to(torch.bfloat16)
        network.mean, network.std = network.mean.float(), network.std.float()
    version = card.version or folder.name
    return Predictor(
        network,
        card.labels,
        readings,
        version=version,
        line_habit=card.line_habit,
        tiling=tiling,
        mirrored_view=bool(card.facts.get(MIRRORED_VIEW, False)),
        most_regions=regions_bound(int(card.facts.get(MOST_LABELLED, 0))),
        device=device,
    )


def read_card(folder: Path) -> VersionCard:
    """Return the card of a version folder. Raises VersionError."""
    try:
        return parse_card((folder / CARD_FILE).read_bytes())
    except (OSError, VersionError) as exc:
        raise VersionError(f"version {folder.name}: {exc}") from exc


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


def batches_of_one_shape(letterboxes: Sequence[Letterbox], most: int) -> list[list[int]]:
    """Return which images go together, large inputs first: what is left to the end should be short."""
    batches: list[list[int]] = []
    for i in sorted(range(len(letterboxes)), key=lambda i: _shape_of(letterboxes[i]), reverse=True):
        fits = batches and _shape_of(letterboxes[batches[-1][0]]) == _shape_of(letterboxes[i])
        if fits and len(batches[-1]) < most:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches
