"""A network that the settings name answers the smart tools once it is loaded; our own answers until then.

It may have to be downloaded first, and may be missing or broken: no prompt waits for it, none fails by it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from backend.core.geometry.instances import FloatArray
from backend.errors import BackendError
from backend.service.engine.shared_cache import run_here, run_in_thread
from backend.service.engine.work_items import RgbImage

if TYPE_CHECKING:
    from backend.core.labelstudio.prompts import Prompts
    from backend.nn.prompts.encoding import Encoding
    from backend.nn.prompts.segmenter import BoxMasks, SegmentedObject

logger = logging.getLogger(__name__)


class Segmenter(Protocol):
    """A network that answers prompts on encoded images; threads may share it."""

    def segment(
        self,
        encoding: Encoding,
        prompts: Prompts,
        label_index: int | None = None,
        detector: BoxMasks | None = None,
    ) -> SegmentedObject | None:
        """Return the object that the prompts mean, None where nothing is found."""

    def warm_up(self) -> None:
        """Make the first real answer meet ready code."""


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with an image encoder of its own, whose features are kept with every encoding.

    embedder: tells its weights from all others. embed: returns the features of an RGB image uint8 [H, W, 3],
    maps float16 [C, h, w].
    licence: of the weights, as their model card states it.
    """

    embedder: str
    embed: Callable[[RgbImage], tuple[FloatArray, ...]]
    segmenter: Segmenter
    licence: str


@dataclass(frozen=True)
class NetworkState:
    """Which network answers. chosen: the one that the settings name, None where they name none.

    It answers once its licence is known here. Our own answers before that, and where there is a problem.
    """

    chosen: str | None = None
    licence: str | None = None
    problem: str | None = None


class ChosenNetwork:
    """Loads the named network once, beside whatever else goes on. Threads may share it."""

    def __init__(self, name: str, load: Callable[[], LoadedNetwork], *, is_local: bool) -> None:
        """Load nothing yet. name: as the settings have it. is_local: nothing has to be downloaded."""
        self._name = name
        self._load = load
        self._is_local = is_local
        self._lock = threading.Lock()
        self._is_begun = False
        self._loaded: LoadedNetwork | None = None
        self._state = NetworkState(name)

    @property
    def state(self) -> NetworkState:
        """Say which network answers now."""
        return self._state

    def loaded(self) -> LoadedNetwork | None:
        """Return the network, None while our own answers. The first call begins the loading; none waits."""
        if self._begins():
            run_in_thread("load-named-network")(self._make)
        return self._loaded

    def warm_up(self) -> None:
        """Load the network: one on this machine now, another in a thread of its own."""
        if self._begins():
            start = run_here if self._is_local else run_in_thread("load-named-network")
            start(self._make)

    def _begins(self) -> bool:
        with self._lock:
            was_begun, self._is_begun = self._is_begun, True
        return not was_begun

    def _make(self) -> None:
        try:
            loaded = self._load()
        except BackendError as exc:
            self._give_up(str(exc))
        except Exception as exc:  # whatever it is, our own network goes on answering
            logger.exception("loading %s failed", self._name)
            self._give_up(f"loading it failed with {type(exc).__name__}: {exc}")
        else:
            logger.info("%s answers the smart tools; licence of its weights: %s", self._name, loaded.licence)
            self._loaded = loaded
            self._state = NetworkState(self._name, licence=loaded.licence)

    def _give_up(self, problem: str) -> None:
        logger.warning("our own network answers the smart tools, not %s: %s", self._name, problem)
        self._state = NetworkState(self._name, problem=problem)
