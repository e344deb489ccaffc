"""One training from samples to a version folder: load, start, learn, calibrate, write."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from backend.core.geometry.instances import Detections
from backend.errors import NotEnoughData, OutOfMemory, TrainingStopped
from backend.nn.detector.backbone import normalisation_of
from backend.nn.detector.heads.masks.decoding import MASK_CUT_LOGIT
from backend.nn.detector.heads.score_map import ScoreMap
from backend.nn.detector.network import Architecture, InstanceNetwork
from backend.nn.detector.predictor import CARD_FILE, WEIGHTS_FILE, Predictor
from backend.nn.runtime.precision import is_bf16_faster
from backend.training.card import training_card
from backend.training.detector.batches import sampling_weights
from backend.training.detector.checkpoint import discard_state, load_state
from backend.training.detector.images import (
    CachedImage,
    LoadedImages,
    count_labels,
    has_any_mask,
    label_weights,
    load_images,
)
from backend.training.detector.loop import LearningData, LoopResult, TrainingLoop, predict_images
from backend.training.detector.peers import ALONE, World
from backend.training.detector.pretrained import start_from_imagenet
from backend.training.detector.start_weights import (
    Start,
    start_from_scenes,
    start_from_version,
)
from backend.training.inputs import LearningObserver, TrainingInputs, TrainingObserver, TrainingOutcome
from backend.training.judging.calibration import (
    Calibration,
    FittedTo,
    expected_calibration_error,
    expected_score_map,
    fit_mask_cut,
    fit_new_map,
    fit_score_map,
    sample_learned,
)
from backend.training.judging.holdout import split_by_task, split_late
from backend.training.judging.metrics import average_precision, precision_recall, scored_hits, scores_by_label
from backend.training.launch import Learned, learn_in_processes, process_count
from backend.training.progress import StagedObserver
from backend.training.prompts.tuning import seconds_for, train_prompt_head
from backend.training.recipe import Augmentation, Recipe, recipe_for

logger = logging.getLogger(__name__)

VERSION_FOLDER = "version"
CACHE_FOLDER = "images"


def train_version(inputs: TrainingInputs, observer: TrainingObserver) -> TrainingOutcome:
    """Train on the samples and return the folder of the new version.

    Goes on from the checkpoint in `inputs.workdir` if there is one of the same training.
    Raises the TrainingError family, VersionError for an unusable start version, ParameterError for an
    unusable backbone, and TrainingPaused when the observer asks for it.
    """
    started = time.monotonic()
    inputs.workdir.mkdir(parents=True, exist_ok=True)
    _seed_everything(inputs.seed)
    tunes = inputs.params.enable_segmentation
    told = StagedObserver(observer, seconds_for if tunes else _nothing)
    loaded = _load(inputs, told)
    _check_enough(inputs, loaded)
    learned = _learn(inputs, loaded, told)
    folder, card = learned.folder, learned.card
    if tunes:
        spent = time.monotonic() - started
        card.update(train_prompt_head(inputs, told, folder, detector_seconds=spent))
    told.writing()
    card["seconds"] = round(time.monotonic() - started, 1)
    _write_card(folder, card)
    discard_state(inputs.workdir)
    shutil.rmtree(inputs.workdir / CACHE_FOLDER, ignore_errors=True)
    return TrainingOutcome(folder, card, learned.metrics, learned.stopped_early_by)


def _learn(inputs: TrainingInputs, loaded: LoadedImages, observer: LearningObserver) -> Learned:
    count = process_count(inputs, len(loaded.images))
    if count > 1:
        try:
            return learn_in_processes(inputs, loaded, observer, count)
        except OutOfMemory:
            # One that has no memory left cannot halve its batch while the others wait for its gradients.
            observer.on_warning(f"out of memory in one of {count} processes: going on in a single one")
    learned = learn_detector(inputs, loaded, observer)
    assert learned is not None
    return learned


def learn_detector(
    inputs: TrainingInputs, loaded: LoadedImages, observer: LearningObserver, world: World = ALONE
) -> Learned | None:
    """Learn a detector and write its folder, alone or as one of several processes.

    Goes on from the checkpoint in `inputs.workdir`; None in all processes but the first. Raises as
    `train_version` does.
    """
    architecture = _architecture(inputs, loaded.images)
    network = InstanceNetwork(architecture)
    if network.backbone.needs_square:
        architecture = Architecture.from_card({**architecture.as_card(), "canvas": "square"})
        network = InstanceNetwork(architecture)
    fingerprint = _fingerprint(inputs, architecture, loaded.task_ids)
    state = load_state(inputs.workdir, fingerprint)
    start = _start(inputs, network)
    warnings = [start.warning] if start.warning else []
    for warning in warnings:
        observer.on_warning(warning)

    training, late, held_out = _split(inputs, loaded)
    recipe = recipe_for(
        inputs.params,
        len(training) + len(late),
        starts_trained=start.has_learned,
        augmentation=Augmentation(),
    )
    data = _learning_data(training, late, held_out, len(inputs.labels), recipe)
    use_bf16 = bool(world.agree(is_bf16_faster(inputs.device)))
    loop = TrainingLoop(
        network,
        inputs.labels,
        data,
        recipe,
        observer,
        device=inputs.device,
        use_bf16=use_bf16,
        seed=inputs.seed,
        checkpoint_folder=inputs.workdir,
        fingerprint=fingerprint,
        world=world,
    )
    if state is not None:
        logger.info("resuming after epoch %d", state.next_epoch)
        loop.resume(state)
    result = loop.run()
    if not world.is_first:
        return None
    observer.on_judging()
    fitted, metrics, by_label = _judge_best(loop, result, data, inputs)
    card = training_card(inputs, loaded, start, loop, result, fitted.fitted_to)
    card.update(
        **fitted.as_card(),
        metrics=metrics,
        per_class=by_label,
        precision="bfloat16" if use_bf16 else "float32",
        memory_format="channels_last",
        processes=world.size,
    )
    folder = _write(inputs.workdir / VERSION_FOLDER, result, card)
    return Learned(folder, card, metrics, result.stopped_early_by)


def _load(inputs: TrainingInputs, observer: StagedObserver) -> LoadedImages:
    if not inputs.samples:
        raise NotEnoughData("there is no annotated image to learn from; label some and train again")
    if not inputs.labels:
        raise NotEnoughData("the labeling config names no label to learn; add one and train again")
    loaded = load_images(
        inputs.samples,
        inputs.params.image_size,
        inputs.workdir / CACHE_FOLDER,
        should_stop=lambda: observer.stop_requested() is not None,
        on_image=observer.loading,
    )
    if observer.stop_requested() == "discard":
        raise TrainingStopped("the training was stopped while its images were read")
    if loaded.failures:
        observer.on_warning(
            f"{len(loaded.failures)} of {len(inputs.samples)} images could not be read and were left out: "
            + "; ".join(loaded.failures[:5])
        )
    return loaded


def _split(
    inputs: TrainingInputs, loaded: LoadedImages
) -> tuple[list[CachedImage], list[CachedImage], list[CachedImage]]:
    """Return the images that teach from the start, those that join late, and those held back."""
    learned, held_out = split_by_task(loaded.task_ids)
    images = loaded.images
    first, late = learned, list[int]()
    # To a network that starts from a version of the project they would not be new; one epoch has no later.
    if not held_out and inputs.start_folder is None and inputs.params.epochs > 1:
        first, late = split_late(loaded.task_ids, [set(image.target.label_indices) for image in images])
    return [images[i] for i in first], [images[i] for i in late], [images[i] for i in held_out]


def _check_enough(inputs: TrainingInputs, loaded: LoadedImages) -> None:
    if not loaded.images:
        raise NotEnoughData(
            "none of the annotated images could be read: " + "; ".join(loaded.failures[:3] or ["unknown"])
        )
    if not any(len(image.target) for image in _split(inputs, loaded)[0]):
        raise NotEnoughData(
            "no usable labelled region stands in the training images; draw some regions and train again"
        )


def _architecture(inputs: TrainingInputs, images: list[CachedImage]) -> Architecture:
    mean, std = normalisation_of(inputs.params.backbone)
    return Architecture(
        backbone=inputs.params.backbone,
        image_size_px=inputs.params.image_size,
        label_count=len(inputs.labels),
        has_masks=inputs.params.enable_segmentation and has_any_mask(images),
        mean=mean,
        std=std,
    )


def _start(inputs: TrainingInputs, network: InstanceNetwork) -> Start:
    if inputs.start_folder is not None:
        return start_from_version(network, inputs.labels, inputs.start_folder)
    if inputs.params.pretrained:
        return start_from_imagenet(network, inputs.pretrained_path)
    return start_from_scenes(network)


def _learning_data(
    training: list[CachedImage],
    late: list[CachedImage],
    held_out: list[CachedImage],
    label_count: int,
    recipe: Recipe,
) -> LearningData:
    counts = count_labels([*training, *late], label_count)
    return LearningData(
        training=training,
        held_out=held_out,
        label_weights=label_weights(counts, recipe.label_weight_max),
        sampling_weights=sampling_weights([*training, *late], label_count),
        late=late,
    )


def _judge_best(
    loop: TrainingLoop, result: LoopResult, data: LearningData, inputs: TrainingInputs
) -> tuple[Calibration, dict[str, float], dict[str, dict[str, float]]]:
    """Fit scores, and masks to the held-out images; return the fit, its metrics there, and those by label."""
    loop.ema.load_state_dict(result.best_weights)
    targets = [image.target for image in data.held_out]
    has_masks = loop.network.architecture.has_masks
    score_map, fitted_to = _fit_scores(loop, result, data)
    if not data.held_out:
        return Calibration(score_map, fitted_to), {}, {}

    def predict(mask_cut_logit: float) -> list[Detections]:
        predictor = Predictor(
            loop.ema,
            inputs.labels,
            score_map,
            device=inputs.device,
            autocast=loop.use_bf16,
            mask_cut_logit=mask_cut_logit,
        )
        return predict_images(predictor, data.held_out)

    mask_cut_logit = fit_mask_cut(predict, targets) if has_masks else MASK_CUT_LOGIT
    fitted = Calibration(score_map, fitted_to, mask_cut_logit)
    found = predict(fitted.mask_cut_logit)
    metrics = average_precision(found, targets, len(inputs.labels), with_masks=has_masks)
    cut = inputs.params.confidence_threshold
    precision, recall = precision_recall(found, targets, cut)
    scores, _, hits, _ = scored_hits(found, targets)
    kept = scores >= cut
    metrics.update(
        precision=precision,
        recall=recall,
        calibration_error=expected_calibration_error(scores[kept], hits[kept]),
    )
    by_label = scores_by_label(found, targets, inputs.labels, cut)
    return fitted, {name: round(value, 4) for name, value in metrics.items()}, by_label


def _fit_scores(loop: TrainingLoop, result: LoopResult, data: LearningData) -> tuple[ScoreMap, FittedTo]:
    """Fit scores to the images that were learned from and to those that are new, and say what there was."""
    asked = sample_learned([image.target for image in result.learned])
    learned = [result.learned[i] for i in asked]
    found, found_new = (predict_images(loop.ema_predictor(), side) for side in (learned, data.held_out))
    targets, new_targets = ([image.target for image in side] for side in (learned, data.held_out))
    new_map = fit_new_map(found, targets, found_new, new_targets) if data.held_out else result.new_map
    score_map = fit_score_map(found, targets, new_map)
    if score_map is None:
        return expected_score_map(), "nothing"
    if new_map is None:
        return score_map, "learned"
    return score_map, "held_out" if data.held_out else "learned_and_late"


def _write(folder: Path, result: LoopResult, card: dict[str, Any]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    # Half precision halves the file; the averaged weights lose nothing that a score would show.
    weights = {
        name: value.to(torch.float16) if _fits_half(value) else value
        for name, value in result.best_weights.items()
    }
    save_file(weights, folder / WEIGHTS_FILE)
    _write_card(folder, card)
    return folder


def _write_card(folder: Path, card: dict[str, Any]) -> None:
    (folder / CARD_FILE).write_text(json.dumps(card, indent=1, allow_nan=False), encoding="utf-8")


def _fits_half(value: torch.Tensor) -> bool:
    return value.is_floating_point() and value.ndim > 1 and bool(value.abs().max() < 6e4)


def _fingerprint(inputs: TrainingInputs, architecture: Architecture, task_ids: list[int]) -> str:
    """Return a digest of what makes a checkpoint fit: same images, labels, parameters, network, seed."""
    content = json.dumps(
        [
            architecture.as_card(),
            inputs.params.as_dict(),
            list(inputs.labels),
            list(task_ids),
            inputs.seed,
            str(inputs.start_folder.name if inputs.start_folder else None),
        ],
        sort_keys=True,
    )
    return hashlib.sha256(content.encode()).hexdigest()


def _nothing(_: float) -> float:
    return 0.0


def _seed_everything(seed: int) -> None:
    torch.manual_seed(seed)
