"""One training from samples to a version folder: load, start, learn, calibrate, write."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from backend.core.answers.kinds import ANSWER_HEADS
from backend.core.versions.card import VersionCard
from backend.errors import NotEnoughData, OutOfMemory, TrainingStopped
from backend.nn.detector.architecture import Architecture
from backend.nn.detector.backbone import normalisation_of
from backend.nn.detector.heads.catalog import HEADS
from backend.nn.detector.heads.head import AnyHead
from backend.nn.detector.heads.semantic import is_any_shape_known
from backend.nn.detector.network import InstanceNetwork
from backend.nn.detector.predictor import CARD_FILE, WEIGHTS_FILE
from backend.nn.runtime.memory import give_back_freed_memory
from backend.nn.runtime.precision import is_bf16_faster
from backend.training.card import training_card
from backend.training.detector.batches import sampling_weights
from backend.training.detector.checkpoint import discard_state, load_state
from backend.training.detector.images import (
    CachedImage,
    LoadedImages,
    count_labels,
    label_weights,
    load_images,
    shown_by,
)
from backend.training.detector.loop import LearningData, LoopResult, TrainingLoop
from backend.training.detector.peers import ALONE, Peers
from backend.training.detector.pretrained import start_from_imagenet
from backend.training.detector.start_weights import (
    Start,
    start_from_shipped,
    start_from_version,
)
from backend.training.inputs import (
    CHECKPOINT_FILE,
    LearningObserver,
    TrainingInputs,
    TrainingObserver,
    TrainingOutcome,
    TrainingPaused,
)
from backend.training.judging.holdout import split_by_task, split_late
from backend.training.launch import Learned, learn_in_processes, process_count
from backend.training.parameters import TrainingParams
from backend.training.progress import StagedObserver
from backend.training.prompts.tuning import train_prompt_head
from backend.training.recipe import RECIPE, Recipe, plan_training
from backend.training.tiles import TilesDecision, decide_tiles
from backend.training.verdict import judge

logger = logging.getLogger(__name__)

VERSION_FOLDER = "version"
CACHE_FOLDER = "images"
_NOT_LEARNED_BY = ("tiles", "mirrored_view")
"""The parameters that no step of a training depends on; how pictures are cut is told by the decision."""

_SEE_MORE = "raise image_size, or let tiles cut the pictures"


def train_version(
    inputs: TrainingInputs, observer: TrainingObserver, heads: tuple[AnyHead, ...] = HEADS
) -> TrainingOutcome:
    """Train on the samples and return the folder of the new version.

    heads: of which those are learned that the parameters and labels want.
    Goes on from the checkpoint in `inputs.workdir` if there is one of the same training.
    Raises the TrainingError family, VersionError for an unusable start version, ParameterError for an
    unusable backbone, and TrainingPaused when the observer asks for it.
    """
    started = time.monotonic()
    inputs = replace(inputs, params=inputs.params.with_named_backbone())
    inputs.workdir.mkdir(parents=True, exist_ok=True)
    _seed_everything(inputs.seed)
    tunes = inputs.params.enable_segmentation and inputs.recipe.tuning_seconds(0.0) > 0
    # Without any shape the tuning ends at once and says so.
    takes_time = tunes and is_any_shape_known([sample.target for sample in inputs.samples])
    told = StagedObserver(observer, inputs.recipe.tuning_seconds if takes_time else _nothing)
    give_back_freed_memory()  # of the pictures that were looked at before
    loaded = _load(inputs, told, heads)
    _check_enough(inputs, loaded)
    give_back_freed_memory()
    learned = _learn(inputs, loaded, told, heads)
    del loaded  # the tuning reads the pictures anew, at a size of its own
    folder, card = learned.folder, learned.card
    if tunes:
        give_back_freed_memory()
        spent = time.monotonic() - started
        card = card.with_facts(**train_prompt_head(inputs, told, folder, detector_seconds=spent))
    told.writing()
    card = card.with_facts(seconds=round(time.monotonic() - started, 1))
    _write_card(folder, card)
    discard_state(inputs.workdir)
    shutil.rmtree(inputs.workdir / CACHE_FOLDER, ignore_errors=True)
    return TrainingOutcome(folder, card, learned.metrics, learned.stopped_early_by)


def _learn(
    inputs: TrainingInputs, loaded: LoadedImages, observer: LearningObserver, heads: tuple[AnyHead, ...]
) -> Learned:
    count = process_count(inputs, len(loaded.images))
    if count > 1:
        try:
            return learn_in_processes(inputs, loaded, observer, count)
        except OutOfMemory:
            # One that has no memory left cannot halve its batch while the others wait for its gradients.
            observer.on_warning(f"out of memory in one of {count} processes: going on in a single one")
    learned = learn_detector(inputs, loaded, observer, heads=heads)
    assert learned is not None
    return learned


def learn_detector(
    inputs: TrainingInputs,
    loaded: LoadedImages,
    observer: LearningObserver,
    peers: Peers = ALONE,
    heads: tuple[AnyHead, ...] = HEADS,
) -> Learned | None:
    """Learn a detector and write its folder, alone or as one of several processes.

    Goes on from the checkpoint in `inputs.workdir`; None in all processes but the first. Raises as
    `train_version` does.
    """
    architecture = _architecture(inputs, loaded.images, heads)
    network = InstanceNetwork(architecture)
    if network.backbone.needs_square:
        architecture = replace(architecture, canvas="square")
        network = InstanceNetwork(architecture)
    fingerprint = _fingerprint(inputs, architecture, loaded.task_ids, loaded.tiles)
    had_learned = (inputs.workdir / CHECKPOINT_FILE).is_file()
    state = load_state(inputs.workdir, fingerprint)
    if had_learned and state is None:
        observer.on_warning(
            "the training begins anew: its images, labels or settings have changed since it was interrupted, "
            "or what it had learned cannot be read"
        )
    # What a checkpoint has learned began elsewhere than these weights, which another source might give today.
    start = state.start if state is not None and state.start is not None else _start(inputs, network)
    if start.warning:
        observer.on_warning(start.warning)

    training, late, held_out = _split(inputs, loaded, architecture.heads)
    tiling = loaded.tiles.tiling
    data = _learning_data(training, late, held_out, len(inputs.labels), architecture.heads, inputs.recipe)
    if tiling is not None:
        data = replace(data, tiling=tiling.when_kept(inputs.params.image_size))
    plan = plan_training(
        inputs.params,
        len(data.learned),
        inputs.recipe,
        goes_on=start.is_version,
        tile_count=data.tile_count,
    )
    use_bf16 = bool(peers.agree(is_bf16_faster(inputs.device)))
    loop = TrainingLoop(
        network,
        inputs.labels,
        data,
        plan,
        observer,
        device=inputs.device,
        use_bf16=use_bf16,
        seed=inputs.seed,
        checkpoint_folder=inputs.workdir,
        fingerprint=fingerprint,
        peers=peers,
        mirrored_view=inputs.params.mirrored_view,
    )
    if state is not None:
        logger.info("resuming after epoch %d", state.next_epoch)
        loop.resume(state)
    loop.state.start = start
    result = loop.run()
    if not peers.is_first:
        return None
    observer.on_judging()
    give_back_freed_memory()  # of steps, which need other memory than predictions
    verdict = judge(loop, result, inputs.params.confidence_threshold)
    card = training_card(inputs, loaded, start, loop, result, verdict).with_facts(
        precision="bfloat16" if use_bf16 else "float32",
        memory_format="channels_last",
        processes=peers.size,
    )
    folder = _write(inputs.workdir / VERSION_FOLDER, result, card)
    return Learned(folder, card, verdict.metrics, result.stopped_early_by)


def _load(
    inputs: TrainingInputs, observer: StagedObserver, heads: tuple[AnyHead, ...] = HEADS
) -> LoadedImages:
    if not inputs.samples:
        raise NotEnoughData("there is no annotated image to learn from; label some and train again")
    if not inputs.labels and not inputs.asked:
        raise NotEnoughData("the labeling config names no label to learn; add one and train again")
    tiles = decide_tiles(
        inputs.params,
        [sample.target for sample in inputs.samples],
        asked=any(inputs.asked.get(head) for head in ANSWER_HEADS),
    )
    observer.tiles(tiles.reason)
    # What an earlier run has learned is worth keeping, and only with all images it can be taken up again.
    has_learned = (inputs.workdir / CHECKPOINT_FILE).is_file()
    ends_now = ("discard", "pause") if has_learned else ("discard", "pause", "keep")
    loaded = load_images(
        inputs.samples,
        inputs.params.image_size,
        inputs.workdir / CACHE_FOLDER,
        tiles=tiles,
        should_stop=lambda: observer.stop_requested() in ends_now,
        on_image=observer.loading,
        heads=heads,
    )
    wish = observer.stop_requested()
    if wish == "pause":
        raise TrainingPaused("paused while its images were read")
    if wish in ends_now:
        raise TrainingStopped("the training was stopped while its images were read; nothing to keep")
    if loaded.failures:
        observer.on_warning(
            f"{len(loaded.failures)} of {len(inputs.samples)} images could not be read and were left out: "
            + "; ".join(loaded.failures[:5])
        )
    if loaded.too_small:
        named = "1 object is" if loaded.too_small == 1 else f"{loaded.too_small} objects are"
        observer.on_warning(
            f"{named} left out, being less than half a pixel wide or high at image_size "
            f"{inputs.params.image_size}; {_SEE_MORE}"
        )
    if loaded.too_thin and inputs.params.enable_segmentation:
        named = "1 object keeps" if loaded.too_thin == 1 else f"{loaded.too_thin} objects keep"
        observer.on_warning(
            f"{named} no more than a box, the drawn shape being less than half a pixel thick at image_size "
            f"{inputs.params.image_size}; {_SEE_MORE}"
        )
    return loaded


def _split(
    inputs: TrainingInputs, loaded: LoadedImages, heads: Sequence[AnyHead] = ()
) -> tuple[list[CachedImage], list[CachedImage], list[CachedImage]]:
    """Return the images that teach from the start, those that join late, and those held back."""
    learned, held_out = split_by_task(loaded.task_ids, inputs.recipe, inputs.known_tasks)
    images = loaded.images
    first, late = learned, list[int]()
    # To a network that starts from a version of the project they would not be new; one epoch has no later.
    if not held_out and inputs.start_folder is None and inputs.params.epochs > 1:
        labels_shown = [shown_by(image, heads) for image in images]
        first, late = split_late(loaded.task_ids, labels_shown, inputs.recipe)
    return [images[i] for i in first], [images[i] for i in late], [images[i] for i in held_out]


def _check_enough(inputs: TrainingInputs, loaded: LoadedImages) -> None:
    if not loaded.images:
        raise NotEnoughData(
            "none of the annotated images could be read: " + "; ".join(loaded.failures[:3] or ["unknown"])
        )
    if not any(len(image.target) or image.target.extras for image in _split(inputs, loaded)[0]):
        raise NotEnoughData(
            "no usable labelled region stands in the training images; draw some regions and train again"
        )


def _architecture(
    inputs: TrainingInputs, images: list[CachedImage], heads: tuple[AnyHead, ...]
) -> Architecture:
    mean, std = normalisation_of(inputs.params.backbone)
    wanted = _wanted_heads(inputs.params, images, heads)
    taught = [image.target for image in images]
    return Architecture(
        backbone=inputs.params.backbone,
        image_size_px=inputs.params.image_size,
        label_count=len(inputs.labels),
        heads=wanted,
        mean=mean,
        std=std,
        asked={
            head.name: head.asked_of(inputs.asked[head.name], taught)
            for head in wanted
            if head.name in inputs.asked
        },
    )


def _wanted_heads(
    params: TrainingParams, images: list[CachedImage], heads: tuple[AnyHead, ...]
) -> tuple[AnyHead, ...]:
    taught = [image.target for image in images]
    wanted = tuple(head for head in heads if head.is_wanted(params.as_dict(), taught))
    if not wanted:
        raise NotEnoughData(
            "enable_detection is false, so only painted areas can be learned, and no region of these images "
            "shows more than a box: paint or outline some areas, or switch enable_detection on"
        )
    return wanted


def _start(inputs: TrainingInputs, network: InstanceNetwork) -> Start:
    if inputs.start_folder is not None:
        return start_from_version(network, inputs.labels, inputs.start_folder)
    if inputs.params.pretrained:
        return start_from_imagenet(network, inputs.pretrained_path)
    return start_from_shipped(network)


def _learning_data(
    training: list[CachedImage],
    late: list[CachedImage],
    held_out: list[CachedImage],
    label_count: int,
    heads: Sequence[AnyHead],
    recipe: Recipe,
) -> LearningData:
    counts = count_labels([*training, *late], label_count)
    return LearningData(
        training=training,
        held_out=held_out,
        label_weights=label_weights(counts, recipe.label_weight_max),
        sampling_weights=sampling_weights([*training, *late], heads),
        late=late,
    )


def _write(folder: Path, result: LoopResult, card: VersionCard) -> Path:
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


def _write_card(folder: Path, card: VersionCard) -> None:
    text = json.dumps(card.as_json(), indent=1, allow_nan=False)
    (folder / CARD_FILE).write_text(text, encoding="utf-8")


def _fits_half(value: torch.Tensor) -> bool:
    return value.is_floating_point() and value.ndim > 1 and bool(value.abs().max() < 6e4)


def _fingerprint(
    inputs: TrainingInputs, architecture: Architecture, task_ids: list[int], tiles: TilesDecision
) -> str:
    """Return a digest of what makes a checkpoint fit: same images, labels, parameters, network, seed."""
    content = json.dumps(
        [
            architecture.as_first_card(),
            {name: value for name, value in inputs.params.as_dict().items() if name not in _NOT_LEARNED_BY},
            list(inputs.labels),
            list(task_ids),
            inputs.seed,
            str(inputs.start_folder.name if inputs.start_folder else None),
            # Releases that cut no pictures did not name it.
            *([] if tiles.tiling is None else [tiles.as_card()]),
            *([{"known_tasks": sorted(inputs.known_tasks)}] if inputs.known_tasks else []),
            # The first release had one recipe and did not name it.
            *([] if inputs.recipe == RECIPE else [asdict(inputs.recipe)]),
        ],
        sort_keys=True,
    )
    return hashlib.sha256(content.encode()).hexdigest()


def _nothing(_: float) -> float:
    return 0.0


def _seed_everything(seed: int) -> None:
    torch.manual_seed(seed)
