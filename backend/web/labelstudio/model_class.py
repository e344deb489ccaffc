"""The label-studio-ml class behind `/predict`, imported in the background.

label-studio-ml imports torch and opens files when it is imported, which takes seconds: the socket is open and
`/health` answers long before that is done.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

logger = logging.getLogger(__name__)

_SWITCH_WHILE_LOADING_S = 0.0005

ModelClass = Callable[..., Any]
"""Built for one request with project_id, label_config, backend; has `predict(tasks, context, **params)`."""


class ModelClassLoader:
    """Imports the class once; whoever needs it earlier waits."""

    def __init__(self, load: Callable[[], ModelClass], then: Callable[[], None]) -> None:
        """Take what imports the class, and what to do once it is there."""
        self._load = load
        self._then = then
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self._loaded: ModelClass | None = None
        self._error: Exception | None = None

    def start(self) -> None:
        """Begin loading, if nobody has yet."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="load-model-class", daemon=True)
                self._thread.start()

    def get(self) -> ModelClass:
        """Return the class, waiting for it. Raises what its import raised."""
        self.start()
        self._done.wait()
        if self._loaded is None:
            assert self._error is not None
            raise self._error
        return self._loaded

    def _run(self) -> None:
        started = time.perf_counter()
        # Imports hold the interpreter for long; meanwhile `/health` and `/setup` have to be let in at once.
        interval_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_WHILE_LOADING_S)
        try:
            self._loaded = self._load()
            logger.info("ready to predict after %.1f s of imports", time.perf_counter() - started)
            self._then()
        except Exception as exc:
            logger.exception("the model class cannot be loaded")
            self._error = exc
        finally:
            sys.setswitchinterval(interval_s)
            self._done.set()
