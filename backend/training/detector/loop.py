"""The training loop: epochs of steps, an average of the weights, and an eye on the held-out images."""

from __future__ import annotations

import copy
import logging
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from backend.core.geometry.instances import FloatArray, TrainingTarget
from backend.core.geometry.tiling import Tiling
from backend.errors import LossDiverged, OutOfMemory, TrainingStopped
from backend.nn.detector.heads.head import AnyHead, LossContext
from backend.nn.detector.heads.score_map import ScoreMap
from backend.nn.detector.network import InstanceNetwork
from backend.nn.detector.predictor import Predictor
from backend.nn.detector.tiles import regions_bound
from backend.nn.runtime.memory import is_out_of_memory
from backend.nn.runtime.precision import in_channels_last
from backend.training.averaging import move_average
from backend.training.detector.batches import Batch, BatchLoader, BatchPlan, plan_epoch
from backend.training.detector.checkpoint import TrainingState, save_state
from backend.training.detector.evaluation import measured, predict_images, scored_head, surely_better
from backend.training.detector.images import CachedImage, count_labels, most_labelled
from backend.training.detector.optimizer import make_optimizer
from backend.training.detector.peers import ALONE, Peers
from backend.training.detector.schedule import (
    assignment_trust,
    ema_decay,
    learning_rate_factor,
    longest_side_px,
)
from backend.training.detector.start_weights import weights_of
from backend.training.inputs import EpochReport, LearningObserver, TrainingPaused
from backend.training.judging.calibration import fit_new_map
from backend.training.recipe import Augmentation, Plan

logger = logging.getLogger(__name__)

STOPS = (None, "keep", "discard", "pause")


@dataclass(frozen=True)
class LearningData:
    """Images that teach, images that judge, and what balances the labels.

    late: images that teach from the recipe's `late_join` on, and tell until then what is new to the network.
    sampling_weights [N]: how much more often than others each of `learned` is wanted. tiling: how the images
    are cut at the size that they have here; None where they are looked at whole.
    """

    training: Sequence[CachedImage]
    held_out: Sequence[CachedImage]
    label_weights: FloatArray
    sampling_weights: FloatArray
    late: Sequence[CachedImage] = ()
    tiling: Tiling | None = None

    @property
    def learned(self) -> list[CachedImage]:
        """All images that teach in the end."""
        return [*self.training, *self.late]

    @property
    def tile_count(self) -> int:
        """Into how many views those are cut; 0 where they are not."""
        return self._view_count(self.learned) if self.tiling is not None else 0

    @property
    def judged_tile_count(self) -> int:
        """Into how many views the held-out images are cut; 0 where they are not."""
        return self._view_count(self.held_out) if self.tiling is not None else 0

    def _view_count(self, images: Sequence[CachedImage]) -> int:
        return sum(1 if self.tiling is None else len(self.tiling.views_of(image.size)) for image in images)


@dataclass
class LoopResult:
    """How a loop ended; best_weights are the averaged weights of the last epoch that none surely betters.

    learned: the images that taught. new_map: what scores of learned images mean on new ones, by those that
    joined late; None where there were none or too little was found. late_readings: what fitted them, by the
    name of the head.
    """

    best_weights: dict[str, torch.Tensor]
    best_epoch: int
    epochs_run: int
    images_seen: int
    seconds: float
    batch_size: int
    learned: Sequence[CachedImage]
    stopped_early_by: str | None = None
    new_map: ScoreMap | None = None
    late_readings: Mapping[str, Any] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)


class TrainingLoop:
    """One training from its first to its last step."""

    def __init__(
        self,
        network: InstanceNetwork,
        labels: tuple[str, ...],
        data: LearningData,
        plan: Plan,
        observer: LearningObserver,
        *,
        device: str,
        use_bf16: bool,
        seed: int,
        checkpoint_folder: Path,
        fingerprint: str,
        peers: Peers = ALONE,
        mirrored_view: bool = False,
    ) -> None:
        """Prepare to train `network` in place; checkpoints go to checkpoint_folder.

        peers: the processes that share this training; all of them make such a loop of the same network and
        data. mirrored_view: whether images are looked at mirrored as well, where mirrored views teach and
        nothing is cut.
        """
        self.network = in_channels_last(network).to(device)
        self.ema = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.peers = peers
        self._forward = peers.wrap(self.network)
        self.labels, self.data, self.plan, self.observer = labels, data, plan, observer
        self.device, self.use_bf16, self.seed = torch.device(device), use_bf16, seed
        self.folder, self.fingerprint = checkpoint_folder, fingerprint
        self.heads = network.architecture.heads
        taught = [image.target for image in (*data.learned, *data.held_out)]
        self.readings = {head.name: head.reading(taught, len(labels)) for head in self.heads}
        self.optimizer = make_optimizer(network, plan, self.device)
        self.state = TrainingState(batch_size=plan.batch_size)
        self.label_weights = torch.from_numpy(data.label_weights).to(device)
        self.total_steps = plan.epochs * plan.steps_per_epoch
        self._stop: str | None = None
        self._last_save = time.monotonic()
        self._save_seconds = 0.0
        self.most_labelled = most_labelled(taught)
        self._augmentation = _augmentation(plan, self.heads, taught)
        if data.tiling is not None and not data.tiling.has_whole_view:
            self._augmentation = replace(self._augmentation, whole_view=0.0)
        knows_mirror_images = self._augmentation.flip_horizontal > 0
        self.mirrored_view = mirrored_view and knows_mirror_images and data.tiling is None
        self._judge_every = plan.recipe.judge_every(data.judged_tile_count, plan.images_per_epoch)
        self._join_epoch = round(plan.recipe.late_join * plan.epochs)
        self._surely_better = surely_better(count_labels(data.held_out, len(labels)))

    def resume(self, state: TrainingState) -> None:
        """Go on from a stored state instead of the beginning."""
        self.network.load_state_dict(state.weights)
        self.ema.load_state_dict(state.ema_weights)
        self.optimizer.load_state_dict(state.optimizer)
        self.state = state
        self.state.weights, self.state.ema_weights, self.state.optimizer = {}, {}, {}

    def run(self) -> LoopResult:
        """Train to the end, to the patience's end, or to a stop.

        Raises LossDiverged, OutOfMemory, TrainingStopped (discard) or TrainingPaused.
        """
        patience = max(
            self.plan.recipe.patience_min, round(self.plan.recipe.patience_share * self.plan.epochs)
        )
        ended_by: str | None = None
        started = time.monotonic() - self.state.seconds
        learned = self._teaching(self.state.next_epoch - 1)
        while self.state.next_epoch < self.plan.epochs and ended_by is None:
            epoch = self.state.next_epoch
            loss = self._run_epoch(epoch)
            learned = self._teaching(epoch)
            if self._stop is not None:
                ended_by = self._obey_stop()
                self._judge(epoch - 1, is_last=True)
                break
            metrics = self._judge(epoch)
            self.state.next_epoch = epoch + 1
            self.state.history.append({"epoch": epoch + 1, "loss": loss, **metrics})
            if self.state.next_epoch == self._join_epoch:
                self._ask_late_images()
            self.state.seconds = time.monotonic() - started
            if time.monotonic() - self._last_save >= self._save_seconds / self.plan.recipe.checkpoint_share:
                self._save()
            self._report(epoch, loss, metrics)
            # Where large pictures are judged now and then only, epochs that nobody looked at prove nothing.
            is_stale = bool(metrics) and epoch - self.state.best_epoch >= patience
            if self.peers.agree(is_stale) and self.state.next_epoch < self.plan.epochs:
                ended_by = "patience"
        if self.state.next_epoch < self._join_epoch:
            self._ask_late_images()
        if self.state.best_weights is None or not self.data.held_out:
            self.state.best_weights = weights_of(self.ema)
            self.state.best_epoch = self.state.next_epoch - 1
        self.state.seconds = time.monotonic() - started
        return LoopResult(
            best_weights=self.state.best_weights,
            best_epoch=self.state.best_epoch,
            epochs_run=self.state.next_epoch,
            images_seen=self.state.images_seen,
            seconds=self.state.seconds,
            batch_size=self.state.batch_size,
            learned=learned,
            stopped_early_by=ended_by,
            new_map=ScoreMap.from_card(self.state.new_map) if self.state.new_map else None,
            late_readings={
                head.name: head.reading_of(self.state.late_readings[head.name], len(self.labels))
                for head in self.heads
                if head.name in self.state.late_readings
            },
            history=self.state.history,
        )

    def _run_epoch(self, epoch: int) -> float:
        self.network.train()
        plans = self.peers.shard(self._plan(epoch))
        total, count, done = 0.0, 0, 0
        while done < len(plans) and self._stop is None:
            batches = self._loader(epoch).batches(plans[done:])
            try:
                for batch in batches:
                    total += self._step(batch, epoch + done / len(plans))
                    done, count = done + 1, count + 1
                    self._stop = self._agreed_stop()
                    if self._stop is not None:
                        break
            except (RuntimeError, MemoryError) as exc:
                if not is_out_of_memory(exc):
                    raise
                self._halve_batch(exc)
                plans, done = _split_plans(plans[done:], self.state.batch_size), 0
            finally:
                batches.close()
        return total / max(count, 1)

    def _agreed_stop(self) -> str | None:
        return STOPS[self.peers.agree(STOPS.index(self.observer.stop_requested()))]

    def _plan(self, epoch: int) -> list[BatchPlan]:
        images = self._teaching(epoch)
        weights = self.data.sampling_weights[: len(images)]
        return plan_epoch(
            images,
            self.plan,
            epoch=epoch,
            seed=self.seed,
            batch_size=self.state.batch_size,
            is_square=self.network.architecture.canvas == "square",
            sampling_weights=weights / weights.mean(),
        )

    def _teaching(self, epoch: int) -> Sequence[CachedImage]:
        return self.data.learned if epoch >= self._join_epoch else self.data.training

    def _loader(self, epoch: int) -> BatchLoader:
        return BatchLoader(
            self._teaching(epoch),
            self._augmentation,
            len(self.labels),
            self.heads,
        )

    def _step(self, batch: Batch, epochs_done: float) -> float:
        progress = epochs_done / self.plan.epochs
        factor = learning_rate_factor(
            round(epochs_done * self.plan.steps_per_epoch), self.total_steps, self.plan
        )
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_rate"] * factor
        targets = {name: wanted.to(self.device) for name, wanted in batch.targets.items()}
        images = batch.images.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.use_bf16):
            output = self._forward(self.network.normalise(images))
        context = LossContext(
            size_hw=(batch.images.shape[1], batch.images.shape[2]),
            label_weights=self.label_weights,
            trust=assignment_trust(progress, self.plan),
        )
        parts = self.network.losses(output, targets, context)
        weighed = (self.plan.recipe.loss_weight(name) * part for name, part in parts.items())
        loss = sum(weighed, start=torch.zeros((), device=self.device))
        value = self.peers.mean(float(loss.detach()))
        if not math.isfinite(value):
            raise LossDiverged(
                f"the loss became {value} in epoch {int(epochs_done) + 1}; lower learning_rate "
                f"({self.plan.learning_rate:g}) and train again"
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.plan.recipe.gradient_norm_max)
        self.optimizer.step()
        keep = ema_decay(self.state.step, self.total_steps, self.plan)
        move_average(self.ema.state_dict(), self.network.state_dict(), keep)
        self.state.step += 1
        self.state.images_seen += len(batch.images) * self.peers.size
        return value

    def _halve_batch(self, exc: BaseException) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if self.state.batch_size == 1 or self.peers.size > 1:
            raise OutOfMemory(
                f"not enough memory to train {self.network.architecture.backbone} at "
                f"{self.plan.image_size_px} px even with one image at a time; choose a smaller image_size "
                "or backbone"
            ) from exc
        self.state.batch_size //= 2
        message = f"out of memory: batch size halved to {self.state.batch_size}"
        logger.warning("%s", message)
        self.state.warnings.append(message)
        self.observer.on_warning(message)

    def _judge(self, epoch: int, *, is_last: bool = False) -> dict[str, float]:
        if not self.data.held_out or not self.peers.is_first:
            return {}
        is_last = is_last or epoch + 1 == self.plan.epochs
        is_early = epoch + 1 < self.plan.recipe.early_share * self.plan.epochs
        every = self._judge_every * (self.plan.recipe.early_every if is_early else 1)
        if (epoch + 1) % every and not is_last:
            return {}
        found = predict_images(self.ema_predictor(), self.data.held_out)
        metrics = measured(self.heads, found, self.data.held_out, len(self.labels))
        if not metrics:  # the held-out images show nothing of what is learned, such as no point at all
            return {}
        fitness = float(np.mean(list(metrics.values())))
        if fitness >= self.state.best_fitness - self._surely_better:
            self.state.best_epoch, self.state.best_weights = epoch, weights_of(self.ema)
        self.state.best_fitness = max(self.state.best_fitness, fitness)
        return metrics

    def _ask_late_images(self) -> None:
        """Note what the network makes of the images that have not joined yet, beside those it knows."""
        if not self.data.late or not self.peers.is_first:
            return
        new = predict_images(self.ema_predictor(), self.data.late)
        for head in self.heads:
            targets = [head.as_found(image.target) for image in self.data.late]
            fitted = head.fitted(self.readings[head.name], new, targets)
            if fitted is not self.readings[head.name]:
                self.state.late_readings[head.name] = head.card_entries(fitted)
        scored = scored_head(self.heads)
        if scored is None:
            return
        sides = (self.data.training, self.data.late)
        learned = predict_images(self.ema_predictor(), self.data.training)
        (learned_targets, new_targets) = ([scored.as_found(image.target) for image in side] for side in sides)
        new_map = fit_new_map(learned, learned_targets, new, new_targets)
        self.state.new_map = new_map.as_card() if new_map else None

    def ema_predictor(self) -> Predictor:
        """Return a predictor over the averaged weights as they are now, with uncalibrated scores."""
        return self.predictor(self.readings)

    def predictor(self, readings: Mapping[str, Any]) -> Predictor:
        """Return a predictor over the averaged weights as they are now, read in this way."""
        return Predictor(
            self.ema,
            self.labels,
            readings,
            tiling=self.data.tiling,
            mirrored_view=self.mirrored_view,
            most_regions=regions_bound(self.most_labelled),
            device=str(self.device),
            autocast=self.use_bf16,
        )

    def _report(self, epoch: int, loss: float, metrics: dict[str, float]) -> None:
        left = self.plan.epochs - epoch - 1
        seconds_left = self._seconds_left(epoch + 1) if left else 0.0
        self.observer.on_epoch(
            EpochReport(epoch + 1, self.plan.epochs, loss, seconds_left, metrics, self.state.seconds)
        )

    def _seconds_left(self, epochs_done: int) -> float:
        """Scale the time so far by the pixels still to come: later epochs show larger views."""
        costs = [
            longest_side_px((e + 0.5) / self.plan.epochs, self.plan) ** 2 for e in range(self.plan.epochs)
        ]
        return self.state.seconds * sum(costs[epochs_done:]) / max(sum(costs[:epochs_done]), 1)

    def _obey_stop(self) -> str:
        if self._stop == "discard":
            raise TrainingStopped("the training was stopped and what it learned was discarded")
        if self._stop == "pause":
            # The interrupted epoch is repeated from the last checkpoint, which stands at an epoch's end.
            raise TrainingPaused(f"paused in epoch {self.state.next_epoch + 1}")
        if self.state.next_epoch == 0:
            raise TrainingStopped("the training was stopped before its first epoch ended; nothing to keep")
        return "user"

    def _save(self) -> None:
        if not self.peers.is_first:
            return
        started = time.monotonic()
        self.state.weights = weights_of(self.network)
        self.state.ema_weights = weights_of(self.ema)
        self.state.optimizer = self.optimizer.state_dict()
        save_state(self.state, self.folder, self.fingerprint)
        # Only the file needs these copies; in memory they would cost as much as the network itself.
        self.state.weights, self.state.ema_weights, self.state.optimizer = {}, {}, {}
        self._last_save = time.monotonic()
        self._save_seconds = self._last_save - started


def _augmentation(plan: Plan, heads: Sequence[AnyHead], taught: Sequence[TrainingTarget]) -> Augmentation:
    """Return how views may differ from images: only so far as the labels of every head stay true."""
    augmentation = plan.recipe.augmentation
    if not all(head.learns_from_collages for head in heads):
        augmentation = replace(augmentation, copy_paste=0.0)
    if not all(head.has_mirror_images(taught) for head in heads):
        augmentation = replace(augmentation, flip_horizontal=0.0, flip_vertical=0.0)
    return augmentation


def _split_plans(plans: Sequence[BatchPlan], batch_size: int) -> list[BatchPlan]:
    out = []
    for plan in plans:
        for start in range(0, len(plan.indices), batch_size):
            part = plan.indices[start : start + batch_size]
            out.append(BatchPlan(part, plan.size_hw, (*plan.seed, start), plan.allow_mosaic))
    return out
