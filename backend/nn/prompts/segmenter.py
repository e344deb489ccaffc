"""Prompts in, one object's mask out: encode an image once, then answer prompt after prompt.

An encoding is the picture and what the trained detector saw and kept of it. Each answer costs
a few passes of a small network over a window of NET_SIDE x NET_SIDE pixels. A mask grows click by click:
the mask after the first click is the second one's starting point. The steps before the newest prompt are
remembered with the encoding and computed again where they were forgotten, so answers never depend on which
process or thread gave the ones before.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from backend.core.geometry.instances import FloatArray, ImageSize, MaskPatch
from backend.core.geometry.mask_maps import MaskMaps
from backend.core.geometry.masks import patch_box
from backend.core.labelstudio.prompts import Prompts
from backend.core.prompting.masks import field_to_mask
from backend.core.prompting.windows import (
    Window,
    box_around,
    likely_box,
    whole_image_window,
    window_around,
)
from backend.nn.prompts.belief import (
    Belief,
    filling,
    most_agreed,
    steadied,
    weighed_with_hint,
)
from backend.nn.prompts.drawing import DetectorView, draw_prompts, marked_box
from backend.nn.prompts.encoding import Encoding, encode_image
from backend.nn.prompts.hints import likely_label, mask_view, matching_instance
from backend.nn.prompts.network import NET_SIDE, SEARCH_SIDE, PromptNetwork
from backend.nn.prompts.tensors import images_to_tensor, prompts_to_tensor
from backend.nn.prompts.weights import SHIPPED_WEIGHTS, is_of_an_earlier_network, load_network
from backend.nn.runtime.precision import is_bf16_faster
from backend.nn.runtime.threads import one_thread, run_side_by_side

logger = logging.getLogger(__name__)

ZOOM_OUT = 1.5
REFINING_ZOOM_OUT = 1.25
"""Window side over the longer side of what is pointed at: for a first look, and for what mends a mask.

Mending wants the pixels, and needs little of what is around: measured on held-out frames of videos.
"""
SEARCH_ZOOMS = (1.3, 1.8, 2.6)
"""A lone first click is looked at in the whole image and in windows around it, so many times smaller.

Chosen on pedestrians and cells together: smaller windows find cells, and parts of pedestrians.
"""
SMALL_SEARCH_ZOOMS = (4.0, 6.0, 9.0, 14.0, 20.0)
"""In a picture larger than what is kept of it, these decide where the network is unsure of the others.

Alone, because what is small is seen rightly in none of the large windows, which would agree on the ground.
"""
SURE_IOU = 0.6
"""An answer of which the network expects so much is sure.

This and the windows were chosen on aircraft in pictures of 2560 pixels and on enlarged frames of videos.
"""
SETTLED_IOU = 0.8
"""A first answer of which the network expects so much is not looked at once more, which saves a pass.

Chosen on pedestrians and cells of the training halves: from 0.7 down answers to a click get worse. For rough
boxes it was taken over.
"""
WINDOWS_PER_THREAD = 2
PROMPT_WEIGHTS_FILE = "prompt.safetensors"


@dataclass(frozen=True, eq=False)
class SegmentedObject:
    """An answer in the orig frame: mask, how good the network thinks it is (0..1), the detector's label."""

    mask: MaskPatch
    score: float
    label_index: int | None


class BoxMasks(Protocol):
    """A trained detector that outlines what a given box was drawn around."""

    def mask_in_box(
        self, maps: MaskMaps, size: ImageSize, box_xyxy_px: FloatArray, label_index: int | None
    ) -> MaskPatch | None:
        """Return the mask in the orig frame of a box [4] in the orig frame, None where nothing is known."""


class PromptSegmenter:
    """Answers prompts with one prompt network. Holds no state between calls: threads may share it."""

    def __init__(self, network: PromptNetwork, *, half_precision: bool = False) -> None:
        """Serve a network in evaluation mode; half_precision runs it in bfloat16."""
        self._network = network
        self._half_precision = half_precision

    def segment(
        self,
        encoding: Encoding,
        prompts: Prompts,
        label_index: int | None = None,
        detector: BoxMasks | None = None,
    ) -> SegmentedObject | None:
        """Return the object that the prompts mean, None where nothing is found.

        label_index: of the prompt's label in the detector's labels, None where it has none or does not
        know it; then every label's instances are looked at. detector: the one that `encoding` comes from.
        """
        if not prompts.is_clear:
            return None
        belief = self._belief(encoding, prompts, label_index, detector)
        mask = field_to_mask(belief.field.astype(np.float32), belief.window, prompts, encoding.size)
        if mask is None:
            return None
        if label_index is None:
            label_index = likely_label(encoding.detections, prompts, mask)
        return SegmentedObject(mask, belief.expected_iou, label_index)

    def warm_up(self) -> None:
        """Run once over a blank image, so that the first real answer meets ready code."""
        click = Prompts(np.full((1, 2), 32, dtype=np.float32), np.array([True]))
        self.segment(encode_image(np.zeros((64, 64, 3), dtype=np.uint8), None), click)

    def _belief(
        self, encoding: Encoding, prompts: Prompts, label_index: int | None, detector: BoxMasks | None
    ) -> Belief:
        """Return the belief after all prompts, going click by click from the last step remembered."""
        steps = _step_counts(prompts)
        keys = [_key(prompts.first_clicks(count), label_index) for count in steps]
        belief, done = None, 0
        for k in range(len(steps) - 1, -1, -1):
            belief = encoding.recall(keys[k])
            if belief is not None:
                done = k + 1
                break
        for k in range(done, len(steps)):
            belief = self._step(encoding, prompts.first_clicks(steps[k]), belief, label_index, detector)
            encoding.remember(keys[k], belief)
        assert belief is not None
        return belief

    def _step(
        self,
        encoding: Encoding,
        prompts: Prompts,
        before: Belief | None,
        label_index: int | None,
        detector: BoxMasks | None,
    ) -> Belief:
        """Return the belief after one more prompt.

        What the detector knows counts with the first prompt only. A click that comes after says that it was
        wrong there: the network mends more objects by itself than beside the detector's view.
        """
        if before is not None:
            mended = self._pass(encoding, prompts, before, None, zoom_out=REFINING_ZOOM_OUT)
            return steadied(mended, before, prompts.clicks_xy_px[-1])
        hint, prompts = self._hint(encoding, prompts, label_index, detector)
        seen = None if encoding.detections is None else DetectorView(encoding.detections, label_index)
        start = hint
        if start is None and prompts.outline_px is None:
            start = self._search(encoding, prompts, seen)
        first = self._pass(encoding, prompts, start, seen)
        if hint is not None:  # a second look was measured to drift from what the detector knows
            return weighed_with_hint(first, hint)
        if first.expected_iou < SETTLED_IOU:
            first = self._pass(encoding, prompts, first, seen)
        return first if prompts.outline_px is None else filling(first, prompts.outline_px)

    def _hint(
        self, encoding: Encoding, prompts: Prompts, label_index: int | None, detector: BoxMasks | None
    ) -> tuple[Belief | None, Prompts]:
        """Return what the detector makes of the prompts as a first belief; without a mask, a rough shape.

        The annotator's box is better than the detector's own: within a rough shape it is asked for the mask
        of that box, whether it would have found the object or not.
        """
        detections = encoding.detections
        if detections is None:
            return None, prompts
        instance = matching_instance(detections, prompts, label_index)
        label = label_index if instance is None else int(detections.label_indices[instance])
        if prompts.outline_px is not None and encoding.maps is not None and detector is not None:
            box = box_around(prompts.outline_px)
            with one_thread():
                mask = detector.mask_in_box(encoding.maps, encoding.size, box, label)
            if mask is not None:
                return _drawn(mask), prompts
        if instance is None:
            return None, prompts
        mask = detections.masks[instance]
        if mask is not None:
            return _drawn(mask), prompts
        if prompts.outline_px is None:
            left, top, right, bottom = detections.boxes_xyxy_px[instance]
            corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float32)
            prompts = replace(prompts, outline_px=corners)
        return None, prompts

    def _search(self, encoding: Encoding, prompts: Prompts, seen: DetectorView | None) -> Belief:
        """Return the best belief from windows of several sizes around clicks of unknown extent."""
        marks = marked_box(prompts)
        centre = (marks[:2] + marks[2:]) / 2
        longest = max(encoding.size.height, encoding.size.width)
        least = max(2, 1.5 * float((marks[2:] - marks[:2]).max()))

        def around(zooms: Sequence[float]) -> list[Window]:
            sides = [side for side in (round(longest / zoom) for zoom in zooms) if side >= least]
            corners = [[round(float(c) - side / 2) for c in centre] for side in sides]
            return [Window(left, top, side) for (left, top), side in zip(corners, sides, strict=True)]

        def looked_at(windows: Sequence[Window]) -> list[Belief]:
            batches = [
                windows[i : i + WINDOWS_PER_THREAD] for i in range(0, len(windows), WINDOWS_PER_THREAD)
            ]
            found = run_side_by_side(beliefs_of, batches, torch.get_num_threads())
            return [belief for beliefs in found for belief in beliefs]

        def beliefs_of(batch: Sequence[Window]) -> list[Belief]:
            return self._run(encoding, prompts, batch, [None] * len(batch), seen, SEARCH_SIDE)

        beliefs = looked_at([whole_image_window(encoding.size), *around(SEARCH_ZOOMS)])
        best = most_agreed(beliefs)
        smaller = around(SMALL_SEARCH_ZOOMS) if encoding.is_shrunk else []
        if best.expected_iou >= SURE_IOU or not smaller:
            return best
        return most_agreed(looked_at(smaller))

    def _pass(
        self,
        encoding: Encoding,
        prompts: Prompts,
        start: Belief | None,
        seen: DetectorView | None,
        *,
        zoom_out: float = ZOOM_OUT,
    ) -> Belief:
        """Return the belief from the one window that holds the prompts and the mask so far.

        seen: what the network is shown of the detector, None for nothing.
        """
        marks = [marked_box(prompts)]
        if start is not None and prompts.outline_px is None:
            held = likely_box(start.field, start.window)
            if held is not None:
                marks.append(held)
        window = window_around(box_around(*marks), zoom_out)
        return self._run(encoding, prompts, [window], [start], seen)[0]

    def _run(
        self,
        encoding: Encoding,
        prompts: Prompts,
        windows: Sequence[Window],
        starts: Sequence[Belief | None],
        seen: DetectorView | None,
        side: int = NET_SIDE,
    ) -> list[Belief]:
        """Return one belief per window from one batch."""
        pixels = np.stack([encoding.window(window, side) for window in windows])
        drawn = np.stack(
            [
                draw_prompts(prompts, window, start, seen, side)
                for window, start in zip(windows, starts, strict=True)
            ]
        )
        with (
            one_thread(),
            torch.inference_mode(),
            torch.autocast("cpu", torch.bfloat16, enabled=self._half_precision),
        ):
            output = self._network(images_to_tensor(pixels), prompts_to_tensor(drawn))
        fields = output.mask_logits[:, 0].sigmoid().numpy().astype(np.float16)
        overlaps = output.overlap_logits.sigmoid().numpy()
        return [
            Belief(window, values, float(overlap))
            for window, values, overlap in zip(windows, fields, overlaps, strict=True)
        ]


def load_segmenter(version_folder: Path | None) -> PromptSegmenter:
    """Return the segmenter of a trained version, or with the shipped weights where it has none of its own.

    It runs on the CPU, also beside a GPU: one small window at a time is done before a GPU would be asked.
    Raises VersionError where the weights are damaged.
    """
    return segmenter_of(SHIPPED_WEIGHTS if version_folder is None else weights_of(version_folder))


def weights_of(version_folder: Path) -> Path:
    """Return the weights that answer prompts for a version: its own, else the shipped ones.

    What an earlier release tuned belongs to a network that knew less untaught than the shipped one does,
    and is passed over. Raises VersionError where the weights are damaged.
    """
    own = version_folder / PROMPT_WEIGHTS_FILE
    if not own.exists():
        return SHIPPED_WEIGHTS
    if is_of_an_earlier_network(own):
        logger.info(
            "version %s: its smart tools were tuned by an earlier release; the shipped ones answer "
            "beside its detector, and the next training tunes them",
            version_folder.name,
        )
        return SHIPPED_WEIGHTS
    return own


def segmenter_of(weights: Path) -> PromptSegmenter:
    """Return the segmenter of a weights' file. Raises VersionError where it is missing or damaged."""
    return PromptSegmenter(load_network(weights), half_precision=is_bf16_faster("cpu"))


def _drawn(mask: MaskPatch) -> Belief:
    """Return a mask as a belief in the window around it."""
    window = window_around(patch_box(mask), ZOOM_OUT)
    return Belief(window, mask_view(mask, window, NET_SIDE).astype(np.float16), 1.0)


def _step_counts(prompts: Prompts) -> list[int]:
    """Return after how many clicks the network looks: with nothing but clicks, from the first positive on."""
    clicks = len(prompts.is_positive)
    if prompts.outline_px is not None or prompts.painted is not None:
        return list(range(clicks + 1))
    first = int(np.argmax(prompts.is_positive)) + 1
    return list(range(first, clicks + 1))


def _key(prompts: Prompts, label_index: int | None) -> bytes:
    """Return what tells these prompts from others on the same image."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(repr((label_index, len(prompts.is_positive))).encode())
    digest.update(prompts.clicks_xy_px.tobytes())
    digest.update(prompts.is_positive.tobytes())
    if prompts.outline_px is not None:
        digest.update(prompts.outline_px.tobytes())
    for patch in (prompts.painted, prompts.erased):
        if patch is not None:
            digest.update(repr((patch.left_px, patch.top_px, patch.bits.shape)).encode())
            digest.update(np.packbits(patch.bits).tobytes())
    return digest.digest()
