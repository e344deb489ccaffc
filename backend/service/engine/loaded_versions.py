"""The predictors that serve: loaded when first asked for, shared by all threads, swapped without a gap."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import Detections, FloatArray, ImageSize, MaskPatch
from backend.core.geometry.mask_maps import MaskMaps
from backend.core.labelstudio.label_config import LabelConfig
from backend.errors import QueueError, VersionError
from backend.service.engine.image_predictor import ImagePredictor
from backend.service.engine.shared_cache import SharedCache, Start, run_here, run_in_thread
from backend.service.engine.stamps import StampsHere
from backend.service.engine.stand_in import StandIn
from backend.service.ports import ServingStamps, VersionStore

logger = logging.getLogger(__name__)

NOT_TRAINED = "not-trained"
_READ_EVERY_S = 2.0
_STAMPS_REST_S = 2.0
_DAMAGED_FOR_S = 60.0


class Predictor(ImagePredictor, Protocol):
    """A loaded version; `backend.nn.detector.predictor` has the real one."""

    @property
    def turned_labels(self) -> frozenset[str]:
        """The labels whose rectangles are drawn turned."""

    def detect_with_maps(
        self,
        image: npt.NDArray[np.uint8],
        *,
        confidence_threshold: float,
        nms_threshold: float,
        max_regions: int = 100,
    ) -> tuple[Detections, MaskMaps | None]:
        """Return what is in one image, and what `mask_in_box` needs of it."""

    def mask_in_box(
        self, maps: MaskMaps, size: ImageSize, box_xyxy_px: FloatArray, label_index: int | None
    ) -> MaskPatch | None:
        """Return the mask of what a box was drawn around, both in the orig frame."""


@dataclass(frozen=True)
class _Current:
    """The version that served when the store was asked; stamp: from before that, None where unknown.

    stand_ins: what may predict in its place: all where nothing was trained, none where the project is gone.
    """

    version: str | None
    stamp: int | None
    read_at: float
    stand_ins: tuple[StandIn, ...]

    def holds(self, stamp: int | None, now: float) -> bool:
        return stamp is not None and stamp == self.stamp and now - self.read_at < _READ_EVERY_S


class LoadedVersions:
    """Knows each project's current version and keeps the last used predictors in memory.

    A request holds on to the predictor it was given, so activating another version drops nothing. The store
    is asked for the current version when the project's stamp has changed, every two seconds, and each time
    while no stamp can be had. prepare does in advance what the first loading would spend seconds on.
    is_retired tells of a project that is gone, whose versions are only kept. Where no version serves,
    the first of stand_ins that can predicts.
    """

    def __init__(
        self,
        store: VersionStore,
        load: Callable[[Path], Predictor],
        prepare: Callable[[], object] = lambda: None,
        *,
        stamps: ServingStamps | None = None,
        is_retired: Callable[[str], bool] = lambda project_key: False,
        stand_ins: Sequence[StandIn] = (),
        most_loaded: int = 4,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._load = load
        self._prepare = prepare
        self._stamps = stamps or StampsHere()
        self._stamps_rest_until = float("-inf")
        self._is_retired = is_retired
        self._stand_ins = tuple(stand_ins)
        self._clock = clock
        self._lock = threading.Lock()
        self._current: dict[str, _Current] = {}
        self._loaded: SharedCache[tuple[str, str], Predictor] = SharedCache(most_loaded)
        self._damaged: dict[tuple[str, str], float] = {}

    def current(self, project_key: str) -> str | None:
        """Return the trained version that serves now, None before any training.

        One that could not be loaded is passed over for the newest good one. None also where somebody chose
        to be served as before any training.
        """
        stamp = self._read_stamp(project_key)  # before the store: what changes later changes the stamp again
        with self._lock:
            known = self._current.get(project_key)
            if known is not None and known.holds(stamp, self._clock()):
                return known.version
        is_retired = self._is_retired(project_key)
        version = None if is_retired else self._store.current(project_key)
        stand_ins = self._stand_ins if version is None and not is_retired else ()
        if version is not None and self._is_damaged(project_key, version):
            version = self._newest_good(project_key)
        if version is not None:
            stand_ins = tuple(one for one in self._stand_ins if one.is_chosen(project_key, version))
            version = None if stand_ins else version
        with self._lock:
            self._current[project_key] = _Current(version, stamp, self._clock(), stand_ins)
        return version

    def reported(self, project_key: str) -> str:
        """Return what `/setup` says: the version that predictions will carry."""
        return self.serving(project_key) or NOT_TRAINED

    def serving(self, project_key: str) -> str | None:
        """Return the version that predictions carry now, trained or not; None where nothing predicts."""
        current = self.current(project_key)
        if current is not None:
            return current
        names = (one.version(project_key) for one in self._stand_ins_of(project_key))
        return next((name for name in names if name is not None), None)

    def serving_predictor(self, project_key: str, config: LabelConfig) -> ImagePredictor | None:
        """Return what predicts a project, trained or not; None where nothing does.

        Raises NotReadyError where a job that waits will have it.
        """
        predictor = self.predictor(project_key)
        if predictor is not None:
            return predictor
        found = (one.predictor(project_key, config) for one in self._stand_ins_of(project_key))
        return next((predictor for predictor in found if predictor is not None), None)

    def predictor_named(self, project_key: str, version: str, config: LabelConfig) -> ImagePredictor:
        """Return the predictor of a name that predictions carry, trained or not.

        Raises VersionError where it is gone, or cannot be loaded.
        """
        for one in self._stand_ins:
            if one.is_own(version):
                return one.awaited_predictor(project_key, version, config)
        return self._get(project_key, version).result()

    def labels_changed(self, project_key: str) -> None:
        """Take note that annotations of a project may have changed; costs nothing until somebody asks."""
        for one in self._stand_ins:
            one.hint(project_key)

    def described_stand_in(self, project_key: str) -> str | None:
        """Return what the predictions of a project without a trained version come from; asks nobody."""
        described = (one.described(project_key) for one in self._stand_ins_of(project_key))
        return next((words for words in described if words is not None), None)

    def announce(self, project_key: str) -> None:
        """Have all processes ask the store what is current, after a version or a project was changed here."""
        with self._lock:
            self._current.pop(project_key, None)
        try:
            self._stamps.advance(project_key)
        except QueueError as exc:
            logger.warning(
                "project %s: other processes notice in %.0f s: %s", project_key, _READ_EVERY_S, exc
            )

    def predictor(self, project_key: str, version: str | None = None) -> Predictor | None:
        """Return the predictor of a version (default: the current one), None before any training.

        Raises VersionError if a version that was asked for by name cannot be loaded.
        """
        if version is not None:
            return self._get(project_key, version).result()
        while (current := self.current(project_key)) is not None:
            try:
                return self._get(project_key, current).result()
            except VersionError as exc:
                self._pass_over(project_key, current, exc)
        return None

    def ready_predictor(self, project_key: str, timeout_s: float) -> Predictor | None:
        """Return a predictor that can answer now, for callers who cannot wait for a version to be loaded.

        The current one; while that is being loaded, another of the project that still is in memory; None
        before any training, or if there is no other one and loading takes longer than timeout_s.
        """
        ends_at = time.monotonic() + timeout_s
        while (current := self.current(project_key)) is not None:
            future = self._get(project_key, current, run_in_thread("load-version"))
            if not future.done() and (other := self._another_loaded(project_key)) is not None:
                return other
            try:
                return future.result(timeout=max(0.0, ends_at - time.monotonic()))
            except FutureTimeout:
                return None
            except VersionError as exc:
                self._pass_over(project_key, current, exc)
        return None

    def load_folder(self, folder: Path) -> Predictor:
        """Return the predictor of a folder that is no published version yet. Raises VersionError."""
        return self._load(folder)

    def warm_up(self) -> None:
        """Do what any loading needs, so that nobody waits for it after the first training."""
        self._prepare()

    def loaded(self) -> list[tuple[str, str]]:
        """Return project and version of the predictors in memory."""
        return [key for key, _ in self._loaded.kept()]

    def _stand_ins_of(self, project_key: str) -> tuple[StandIn, ...]:
        """Return what may stand in for a version of the project; nothing where one serves, or it is gone."""
        if not self._stand_ins or self.current(project_key) is not None:
            return ()
        with self._lock:
            known = self._current.get(project_key)
        return () if known is None else known.stand_ins

    def _read_stamp(self, project_key: str) -> int | None:
        """Return the project's stamp, None while Redis is away; then it is left alone for a moment."""
        if self._clock() < self._stamps_rest_until:
            return None
        try:
            return self._stamps.read(project_key)
        except QueueError as exc:
            self._stamps_rest_until = self._clock() + _STAMPS_REST_S
            logger.info("the store is asked which version serves, each time: %s", exc)
            return None

    def _get(self, project_key: str, version: str, start: Start = run_here) -> Future[Predictor]:
        load = partial(self._load_version, project_key, version)
        return self._loaded.ask((project_key, version), load, start)

    def _another_loaded(self, project_key: str) -> Predictor | None:
        """Return the project's predictor that was used last of those in memory."""
        own = (predictor for (key, _), predictor in reversed(self._loaded.kept()) if key == project_key)
        return next(own, None)

    def _pass_over(self, project_key: str, version: str, error: VersionError) -> None:
        logger.error("project %s: version %s cannot be loaded: %s", project_key, version, error)
        with self._lock:
            self._damaged[project_key, version] = self._clock()
            self._current.pop(project_key, None)

    def _load_version(self, project_key: str, version: str) -> Predictor:
        started = time.perf_counter()
        try:
            predictor = self._load(self._store.local_folder(project_key, version))
        except VersionError:
            raise
        except Exception as exc:
            raise VersionError(f"version {version} of project {project_key} cannot be loaded: {exc}") from exc
        milliseconds = (time.perf_counter() - started) * 1000
        logger.info("project %s: loaded version %s in %.0f ms", project_key, version, milliseconds)
        return predictor

    def _is_damaged(self, project_key: str, version: str) -> bool:
        with self._lock:
            since = self._damaged.get((project_key, version))
            return since is not None and self._clock() - since < _DAMAGED_FOR_S

    def _newest_good(self, project_key: str) -> str | None:
        for listed in self._store.list(project_key):
            version = listed.card.version
            if not self._is_damaged(project_key, version):
                return version
        return None
