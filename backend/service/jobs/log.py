"""What was logged while a job ran, kept with the job for whoever has no access to the worker."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from backend.errors import StoreError
from backend.service.ports import DocumentStore

MOST_LINES = 1000
WRITE_EVERY_S = 5.0


def log_path(job_id: str) -> str:
    """Return the document that holds the log of a job."""
    return f"jobs/{job_id}/log.json"


def read_job_log(documents: DocumentStore, job_id: str) -> list[str]:
    """Return the last lines that were logged while the job ran, oldest first."""
    lines = (documents.read(log_path(job_id)) or {}).get("lines")
    return [str(line) for line in lines] if isinstance(lines, list) else []


@contextmanager
def keep_job_log(documents: DocumentStore, job_id: str) -> Iterator[None]:
    """Keep what this process logs, after what an earlier run of the job logged."""
    handler = _Keeper(documents, job_id)
    logging.getLogger().addHandler(handler)
    try:
        yield
    except Exception as exc:
        handler.add(f"{_now()} ERROR {exc}")
        raise
    finally:
        logging.getLogger().removeHandler(handler)
        handler.write()


class _Keeper(logging.Handler):
    def __init__(self, documents: DocumentStore, job_id: str) -> None:
        super().__init__(logging.INFO)
        self._documents = documents
        self._path = log_path(job_id)
        self._lines = deque(_earlier_lines(documents, job_id), MOST_LINES)
        self._written_at = 0.0
        self._lines_lock = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        self.add(f"{_now()} {record.levelname} {record.getMessage()}")
        if time.monotonic() - self._written_at > WRITE_EVERY_S:
            self.write()

    def add(self, line: str) -> None:
        with self._lines_lock:
            self._lines.append(line)

    def write(self) -> None:
        self._written_at = time.monotonic()
        with self._lines_lock:
            lines = list(self._lines)
        try:
            self._documents.write(self._path, {"lines": lines})
        except StoreError:
            # Logging that the log cannot be kept would come back here; the job itself meets the full disk.
            return


def _earlier_lines(documents: DocumentStore, job_id: str) -> list[str]:
    """Return what earlier runs logged; a log that cannot be read says so, and does not end the job."""
    try:
        return read_job_log(documents, job_id)
    except StoreError as exc:
        return [f"{_now()} WARNING what earlier runs of this job logged is lost: {exc}"]


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
