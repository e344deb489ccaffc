"""Versions of a remote store, unpacked on this machine's disk; the least recently fetched go first."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

from backend.errors import StoreError
from backend.infra.machine.file_cache import Held, least_used
from backend.infra.store.objects import ObjectStore
from backend.infra.store.version_files import verify_folder


class VersionCache:
    """Folders of versions below `folder`, together at most `max_bytes`, but always the newest one."""

    def __init__(self, objects: ObjectStore, folder: Path, max_bytes: int) -> None:
        self._objects = objects
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()

    def fetch(
        self, project_key: str, version: str, prefix: str, manifest: Mapping[str, tuple[int, str]]
    ) -> Path:
        """Return the folder of a version, filled and verified if need be. Raises VersionError, StoreError."""
        target = self._folder / project_key / version
        with self._lock:
            if _is_complete(target, manifest):
                with contextlib.suppress(OSError):
                    os.utime(target)
                return target
            try:
                with self.temporary_folder() as folder:
                    self._download(folder / version, prefix, manifest)
                    _move_into_place(folder / version, target, manifest)
            except OSError as exc:
                raise StoreError(f"cannot unpack version {version}: {exc.strerror or exc}") from exc
            self._shrink(keep=target)
        return target

    def drop(self, project_key: str, version: str | None = None) -> None:
        """Remove one version, or all of a project."""
        folder = self._folder / project_key
        shutil.rmtree(folder if version is None else folder / version, ignore_errors=True)

    @contextlib.contextmanager
    def temporary_folder(self) -> Iterator[Path]:
        """Lend a folder beside the versions that is gone afterwards. Raises StoreError."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(prefix=".new-", dir=self._folder))
        except OSError as exc:
            raise StoreError(f"cannot write under {self._folder}: {exc.strerror or exc}") from exc
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _download(self, folder: Path, prefix: str, manifest: Mapping[str, tuple[int, str]]) -> None:
        folder.mkdir()
        for name in manifest:
            self._objects.get_file(f"{prefix}/{name}", folder / name)
        verify_folder(folder, manifest)

    def _shrink(self, *, keep: Path) -> None:
        kept_bytes, others = 0, []
        for folder in self._folder.glob("*/*"):
            with contextlib.suppress(OSError):  # another process may be deleting it
                size_bytes = sum(file.stat().st_size for file in folder.iterdir())
                if folder == keep:
                    kept_bytes = size_bytes
                else:
                    others.append(Held(folder.stat().st_mtime, size_bytes, folder))
        for held in least_used(others, self._max_bytes - kept_bytes):
            shutil.rmtree(held.path, ignore_errors=True)


def signature(folder: Path, names: Mapping[str, object]) -> tuple[tuple[int, int], ...] | None:
    """Return length and time of change of each file, or None where one is missing."""
    try:
        stats = [(folder / name).stat() for name in sorted(names)]
    except OSError:
        return None
    return tuple((stat.st_size, stat.st_mtime_ns) for stat in stats)


def _is_complete(folder: Path, manifest: Mapping[str, tuple[int, str]]) -> bool:
    found = signature(folder, manifest)
    return found is not None and [size for size, _ in found] == [
        manifest[name][0] for name in sorted(manifest)
    ]


def _move_into_place(folder: Path, target: Path, manifest: Mapping[str, tuple[int, str]]) -> None:
    """Rename the folder, unless another process was faster: what others may be reading is never replaced."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not _is_complete(target, manifest):
        shutil.rmtree(target, ignore_errors=True)
    try:
        os.rename(folder, target)
    except OSError:
        if not _is_complete(target, manifest):
            raise
