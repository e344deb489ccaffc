"""The smart tools learn the team's objects: the last part of a training, bounded in time.

Simulated annotators point at the team's own masks with jittered boxes, outlines and clicks, and the shipped
prompt network (or the one of the version the training starts from) is tuned to what they meant. It is kept
only if it points better at objects it has not seen. Whatever goes wrong here costs the tuning, never the
training: the version then serves with the shipped weights and says so.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from backend.core.geometry.instances import MaskPatch, TrainingTarget
from backend.core.labelstudio.prompts import HINT_LIMITS, Prompts
from backend.errors import BackendError, TrainingStopped
from backend.nn.detector.predictor import Predictor, load_predictor
from backend.nn.prompts.encoding import Encoding, encode_image
from backend.nn.prompts.network import PromptNetwork
from backend.nn.prompts.segmenter import (
    PROMPT_WEIGHTS_FILE,
    PromptSegmenter,
    weights_of,
)
from backend.nn.prompts.weights import SHIPPED_WEIGHTS, load_network, save_weights
from backend.nn.runtime.precision import is_bf16_faster
from backend.training.detector.images import CachedImage, to_training_size
from backend.training.inputs import TrainingInputs, TrainingSample
from backend.training.judging.holdout import split_by_task
from backend.training.progress import StagedObserver
from backend.training.prompts.annotators import (
    BoolArray,
    MaskedObject,
    Rng,
    box_outline,
    innermost_point,
    jittered_box,
    mask_box,
)
from backend.training.prompts.batches import SampleStream, WeightAverage, rate_groups, train_step

logger = logging.getLogger(__name__)

CARD_KEY = "smart_tools"
LONGEST_SIDE_PX = 640
MEMORY_LIMIT_BYTES = 256 << 20
BATCH_SIZE = 16
NET_SIDE_EARLY, NET_SIDE_LATE = 160, 192
LATE_SHARE = 0.35
DECODER_RATE, ENCODER_RATE = 4e-4, 1e-4
WARM_UP_SHARE = 0.05
HINT_SHARE = 0.5
"""How often a simulated annotator works beside a detector; trained versions always do."""
SMALLEST_OBJECT_PX = 30
OBJECTS_JUDGED = 30
MOST_ALIKE = 40
"""So many objects of its label, the nearest ones, are looked at beside an object. Each takes the memory of a
whole image: all of the hundreds of cells in one, for each annotator of a batch, would be gigabytes."""


@dataclass(frozen=True)
class _Judgement:
    """Mean IoU of first prompts on held-out objects."""

    box_iou: float
    click_iou: float

    @property
    def mean(self) -> float:
        return (self.box_iou + self.click_iou) / 2


def train_prompt_head(
    inputs: TrainingInputs, observer: StagedObserver, folder: Path, *, detector_seconds: float = 0.0
) -> dict[str, Any]:
    """Tune the prompt network on the team's masks, write it into `folder` and return card entries.

    folder: the new version's, with weights and card of its detector. detector_seconds: what the training took
    so far; the recipe says how long the tuning takes then. Asked to stop or pause, it ends with what it has.
    Raises TrainingStopped on "discard"; every other failure becomes a warning and an entry in the card.
    """
    try:
        return {CARD_KEY: _tune(inputs, observer, folder, detector_seconds)}
    except TrainingStopped:
        raise
    except (BackendError, RuntimeError, MemoryError, OSError, ValueError, cv2.error) as exc:
        logger.warning("the smart tools were not tuned", exc_info=exc)
        (folder / PROMPT_WEIGHTS_FILE).unlink(missing_ok=True)
        observer.on_warning(f"the smart tools could not learn from these labels and stay general: {exc}")
        return {CARD_KEY: {"tuned": False, "why": str(exc)}}


def _tune(
    inputs: TrainingInputs, observer: StagedObserver, folder: Path, detector_seconds: float
) -> dict[str, Any]:
    started = time.monotonic()
    rng = np.random.default_rng([inputs.seed, 5])
    training, held_out = _load_images(inputs, rng)
    pool = [(image, k) for image in training for k in range(len(image.target)) if _is_usable(image, k)]
    if not pool:
        return {"tuned": False, "why": "no label has a mask; draw polygons or brush strokes to teach it"}
    source = _start_weights(inputs)
    network = load_network(source)
    detector = load_predictor(folder, inputs.device) if held_out else None
    judged = _judging_set(held_out, detector) if detector is not None else []
    before = _judge(PromptSegmenter(network), detector, judged)
    average = _fit(
        network, _endless(pool, rng), rng, observer, inputs.recipe.tuning_seconds(detector_seconds)
    )
    save_weights(average.values, folder / PROMPT_WEIGHTS_FILE)
    after = _judge(PromptSegmenter(load_network(folder / PROMPT_WEIGHTS_FILE)), detector, judged)
    entries: dict[str, Any] = {
        "tuned": True,
        "objects": len(pool),
        "steps": average.steps,
        "prompts_seen": average.steps * BATCH_SIZE,
        "seconds": round(time.monotonic() - started, 1),
        "judged_objects": sum(len(masks) for _, masks in judged),
    }
    if before is not None and after is not None:
        entries["before"] = {"box_iou": round(before.box_iou, 4), "click_iou": round(before.click_iou, 4)}
        entries["after"] = {"box_iou": round(after.box_iou, 4), "click_iou": round(after.click_iou, 4)}
        if after.mean < before.mean:
            (folder / PROMPT_WEIGHTS_FILE).unlink()
            if source != SHIPPED_WEIGHTS:
                save_weights(load_network(source).state_dict(), folder / PROMPT_WEIGHTS_FILE)
            entries.update(tuned=False, why="pointing at held-out objects got no better")
    return entries


def _start_weights(inputs: TrainingInputs) -> Path:
    """Return the weights to start from: of the version the training starts from, else the shipped ones."""
    return SHIPPED_WEIGHTS if inputs.start_folder is None else weights_of(inputs.start_folder)


def _load_images(inputs: TrainingInputs, rng: Rng) -> tuple[list[CachedImage], list[CachedImage]]:
    """Return training and held-out images, as many as memory allows, chosen by chance."""
    task_ids = [sample.task_id for sample in inputs.samples]
    training, held_out = split_by_task(task_ids, inputs.recipe, inputs.known_tasks)
    loaded: list[list[CachedImage]] = []
    for positions, limit_bytes in ((training, MEMORY_LIMIT_BYTES), (held_out, MEMORY_LIMIT_BYTES // 8)):
        images: list[CachedImage] = []
        used_bytes = 0
        for position in rng.permutation(positions):
            sample = inputs.samples[int(position)]
            if not any(mask is not None for mask in sample.target.masks) or used_bytes > limit_bytes:
                continue
            try:
                images.append(_load_image(sample))
            except BackendError as exc:
                logger.info("task %d: not used for the smart tools: %s", sample.task_id, exc)
                continue
            used_bytes += images[-1].image.nbytes
        loaded.append(images)
    return loaded[0], loaded[1]


def _load_image(sample: TrainingSample) -> CachedImage:
    """Return an image at the tuning's size. Its own pixels are gone then, before the next one's are read."""
    pixels = sample.load_rgb()
    longest = min(LONGEST_SIDE_PX, max(pixels.shape[:2]))
    return to_training_size(pixels, sample.target, longest)


def _is_usable(image: CachedImage, index: int) -> bool:
    mask = image.target.masks[index]
    return mask is not None and mask.area_px >= SMALLEST_OBJECT_PX


def _endless(pool: list[tuple[CachedImage, int]], rng: Rng) -> Iterator[MaskedObject]:
    """Yield the objects in ever new order, each differently augmented."""
    while True:
        for position in rng.permutation(len(pool)):
            image, index = pool[int(position)]
            own = image.target.masks[index]
            assert own is not None
            alike = tuple(mask.full(image.size) for mask in _alike(image.target, index))
            yield _augmented(rng, MaskedObject(image.image, own.full(image.size), alike))


def _alike(target: TrainingTarget, index: int) -> list[MaskPatch]:
    """Return the masks of the other objects of a row's label, the MOST_ALIKE nearest of them."""
    boxes, labels = target.boxes_xyxy_px, target.label_indices
    middles = (boxes[:, :2] + boxes[:, 2:]) / 2
    apart = np.linalg.norm(middles - middles[index], axis=1)
    others = [
        mask
        for k in np.argsort(apart, kind="stable").tolist()
        if k != index and labels[k] == labels[index] and (mask := target.masks[k]) is not None
    ]
    return others[:MOST_ALIKE]


def _augmented(rng: Rng, target: MaskedObject) -> MaskedObject:
    """Return the object mirrored by chance, in other light, and now and then a little turned."""
    image, masks = target.image, [target.mask, *target.others]
    if rng.random() < 0.5:
        image = np.ascontiguousarray(image[:, ::-1])
        masks = [np.ascontiguousarray(mask[:, ::-1]) for mask in masks]
    if rng.random() < 0.3:
        image, masks = _turned(image, masks, float(rng.uniform(-12, 12)))
    if rng.random() < 0.7:
        gain = rng.uniform(0.75, 1.3) * rng.uniform(0.93, 1.07, 3)
        lifted = image.astype(np.float32) * gain.astype(np.float32) + np.float32(rng.uniform(-15, 15))
        image = np.clip(lifted, 0, 255).astype(np.uint8)
    if not masks[0].any():
        return target
    return MaskedObject(image, masks[0], tuple(masks[1:]))


def _turned(
    image: np.ndarray[Any, np.dtype[np.uint8]], masks: list[BoolArray], angle_deg: float
) -> tuple[np.ndarray[Any, np.dtype[np.uint8]], list[BoolArray]]:
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle_deg, 1.0)
    turned = cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    moved = [
        cv2.warpAffine(mask.astype(np.uint8), matrix, (width, height), flags=cv2.INTER_NEAREST) > 0
        for mask in masks
    ]
    return np.asarray(turned, dtype=np.uint8), moved


def _fit(
    network: PromptNetwork,
    objects: Iterator[MaskedObject],
    rng: Rng,
    observer: StagedObserver,
    seconds: float,
) -> WeightAverage:
    """Tune until the time is up or somebody asks to stop; return the averaged weights."""
    network.train()
    optimiser = torch.optim.AdamW(rate_groups(network, DECODER_RATE, ENCODER_RATE), weight_decay=0.02)
    average = WeightAverage(network, decay=0.99)
    stream = SampleStream(objects, rng, BATCH_SIZE, prior_share=HINT_SHARE)
    use_bf16 = is_bf16_faster("cpu")
    started = time.monotonic()
    while (done := (time.monotonic() - started) / seconds) < 1.0:
        observer.tuning(seconds * done, seconds * (1 - done))
        wish = observer.stop_requested()
        if wish == "discard":
            raise TrainingStopped("the training was stopped while the smart tools learned")
        if wish is not None:
            break
        share = min(1.0, (done + 0.002) / WARM_UP_SHARE) * (0.5 + 0.5 * math.cos(math.pi * done))
        for group in optimiser.param_groups:
            group["lr"] = group["full_rate"] * share
        net_side = NET_SIDE_LATE if done > 1 - LATE_SHARE else NET_SIDE_EARLY
        loss = train_step(network, optimiser, stream, net_side, use_bf16=use_bf16)
        if not math.isfinite(loss):
            raise ValueError(f"the loss of the smart tools became {loss}")
        average.update(network)
    network.eval()
    return average


def _judging_set(held_out: list[CachedImage], detector: Predictor) -> list[tuple[Encoding, list[BoolArray]]]:
    """Return encodings of held-out images, with what the new detector sees in them, and the true masks."""
    judged: list[tuple[Encoding, list[BoolArray]]] = []
    left = OBJECTS_JUDGED
    for image in held_out:
        masks = [image.target.masks[k] for k in range(len(image.target)) if _is_usable(image, k)][:left]
        if not masks:
            continue
        pixels = np.asarray(image.image)
        seen = detector.detect_with_maps(pixels, **HINT_LIMITS)
        full = [mask.full(image.size) for mask in masks if mask is not None]
        judged.append((encode_image(pixels, *seen), full))
        left -= len(masks)
    return judged


def _judge(
    segmenter: PromptSegmenter, detector: Predictor | None, judged: list[tuple[Encoding, list[BoolArray]]]
) -> _Judgement | None:
    """Return how well first prompts do, None where there is nothing to judge by; forgets what it tried."""
    rng = np.random.default_rng(0)
    box_ious: list[float] = []
    click_ious: list[float] = []
    for kept, masks in judged:
        encoding = Encoding(kept.image, kept.size, kept.detections, kept.maps)
        for mask in masks:
            outline = box_outline(jittered_box(rng, mask_box(mask), 0.05))
            point = np.array([innermost_point(mask)], dtype=np.float32)
            click = Prompts(point, np.array([True]))
            box_ious.append(_iou(segmenter, detector, encoding, Prompts(outline_px=outline), mask))
            click_ious.append(_iou(segmenter, detector, encoding, click, mask))
    if not box_ious:
        return None
    return _Judgement(float(np.mean(box_ious)), float(np.mean(click_ious)))


def _iou(
    segmenter: PromptSegmenter,
    detector: Predictor | None,
    encoding: Encoding,
    prompts: Prompts,
    truth: BoolArray,
) -> float:
    found = segmenter.segment(encoding, prompts, None, detector)
    if found is None:
        return 0.0
    mask = found.mask.full(encoding.size)
    return float(np.count_nonzero(mask & truth) / max(1, np.count_nonzero(mask | truth)))
