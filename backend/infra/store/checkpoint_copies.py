"""Copies of running trainings' checkpoints on the object store, for the day their machine is gone.

jobs/<job>/checkpoint.pt     the newest one whose copying came to an end
jobs/<job>/checkpoint.json   when that one was written
"""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path

from backend.errors import StoreError
from backend.infra.store.objects import ObjectStore
from backend.written_whole import written_whole

logger = logging.getLogger(__name__)

FILE, NOTE = "checkpoint.pt", "checkpoint.json"


class CheckpointCopies:
    """The CheckpointStore of `backend.service.ports`; one copy is made at a time, in a thread."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._copied_at = 0.0

    def fetch(self, job_id: str, path: Path) -> None:
        """Bring the copy to `path`, unless a newer checkpoint lies there."""
        try:
            note = self._objects.get_bytes(f"jobs/{job_id}/{NOTE}")
            written_at = 0.0 if note is None else float(json.loads(note)["written_at"])
            if written_at <= _written_at(path):
                return
            with written_whole(path) as part:
                self._objects.get_file(f"jobs/{job_id}/{FILE}", part)
                os.utime(part, (written_at, written_at))
            logger.info("job %s: goes on from the checkpoint that another machine wrote", job_id)
        except (StoreError, OSError, ValueError, KeyError) as exc:
            logger.warning("job %s: its checkpoint cannot be fetched: %s", job_id, exc)

    def keep(self, job_id: str, path: Path) -> None:
        """Copy the checkpoint at `path` without waiting; one that is still being copied is not disturbed."""
        with self._lock:
            is_busy = self._thread is not None and self._thread.is_alive()
            if is_busy or _written_at(path) <= self._copied_at:
                return
            self._thread = threading.Thread(
                target=self._copy, args=(job_id, path), name=f"checkpoint-{job_id}", daemon=True
            )
            self._thread.start()

    def finish(self, job_id: str, path: Path, within_s: float) -> None:
        """Wait until the newest checkpoint is copied, or so long."""
        for _ in range(2):  # the one under way, then the one that came meanwhile
            self.keep(job_id, path)
            thread = self._thread
            if thread is not None:
                thread.join(within_s / 2)

    def drop(self, job_id: str) -> None:
        """Remove the copy of a job that has ended."""
        thread = self._thread
        if thread is not None:
            thread.join()
        for name in (NOTE, FILE):
            try:
                self._objects.delete(f"jobs/{job_id}/{name}")
            except StoreError as exc:
                logger.warning("job %s: the copy of its checkpoint stays: %s", job_id, exc)

    def job_ids(self) -> list[str]:
        """Return the jobs that have a copy."""
        keys = self._objects.keys("jobs")
        return [key.split("/")[1] for key in keys if key.endswith(f"/{FILE}")]

    def _copy(self, job_id: str, path: Path) -> None:
        written_at = _written_at(path)
        # The next checkpoint replaces the name, never the file that is being read.
        aside = path.with_suffix(".copying")
        try:
            aside.unlink(missing_ok=True)
            os.link(path, aside)
            self._objects.put_file(f"jobs/{job_id}/{FILE}", aside)
            note = json.dumps({"written_at": written_at}).encode()
            self._objects.put_bytes(f"jobs/{job_id}/{NOTE}", note)
            self._copied_at = written_at
        except (StoreError, OSError) as exc:
            logger.warning("job %s: its checkpoint stays on this machine only: %s", job_id, exc)
        finally:
            aside.unlink(missing_ok=True)


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
