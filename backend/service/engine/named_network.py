"""A network that the settings name: loaded once, beside whatever else goes on.

It may have to be downloaded first, and may be missing or broken: no request waits for it, none fails by it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from backend.errors import BackendError
from backend.service.engine.shared_cache import run_here, run_in_thread

logger = logging.getLogger(__name__)


class Licensed(Protocol):
    """What was loaded; licence: of the weights, as their model card states it."""

    @property
    def licence(self) -> str:
        """Return the licence."""


Loaded = TypeVar("Loaded", bound=Licensed)


@dataclass(frozen=True)
class NetworkState:
    """Which network answers. chosen: the one that the settings name, None where they name none.

    It answers once its licence is known here; what is there without it does before that, and where there is
    a problem.
    """

    chosen: str | None = None
    licence: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Role:
    """What a network is for, as the log says it.

    with_it: takes its name and licence. without_it: takes its name and the problem.
    """

    with_it: str
    without_it: str


class NamedNetwork(Generic[Loaded]):
    """Loads the named network once. Threads may share it."""

    def __init__(self, name: str, load: Callable[[], Loaded], role: Role, *, is_local: bool) -> None:
        """Load nothing yet. name: as the settings have it. is_local: nothing has to be downloaded."""
        self._name = name
        self._load = load
        self._role = role
        self._is_local = is_local
        self._lock = threading.Lock()
        self._is_begun = False
        self._is_settled = threading.Event()
        self._loaded: Loaded | None = None
        self._state = NetworkState(name)

    @property
    def state(self) -> NetworkState:
        """Say which network answers now."""
        return self._state

    def loaded(self) -> Loaded | None:
        """Return the network, None while it is not there. The first call begins the loading; none waits."""
        if self._begins():
            run_in_thread("load-named-network")(self._make)
        return self._loaded

    def awaited(self, timeout_s: float | None = None) -> Loaded | None:
        """Return the network once it is there, None where it cannot be loaded or time is up."""
        self.loaded()
        self._is_settled.wait(timeout_s)
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
        except Exception as exc:  # whatever it is, the service goes on without
            logger.exception("loading %s failed", self._name)
            self._give_up(f"loading it failed with {type(exc).__name__}: {exc}")
        else:
            logger.info(self._role.with_it, self._name, loaded.licence)
            self._loaded = loaded
            self._state = NetworkState(self._name, licence=loaded.licence)
        finally:
            self._is_settled.set()

    def _give_up(self, problem: str) -> None:
        logger.warning(self._role.without_it, self._name, problem)
        self._state = NetworkState(self._name, problem=problem)
