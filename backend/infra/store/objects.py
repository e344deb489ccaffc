"""Bytes by key, in a local folder or at any fsspec address; each object is written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from backend.errors import StoreError

STAGING_FOLDER = ".staging"
STALE_AFTER_S = 3600.0


class ObjectStore(Protocol):
    """Objects by key such as `projects/7/current.json`. Every call may raise StoreError."""

    def put_bytes(self, key: str, content: bytes) -> None:
        """Replace one object."""

    def put_file(self, key: str, source: Path) -> None:
        """Replace one object by the content of a local file."""

    def put_folder(self, prefix: str, files: Mapping[str, Path | bytes], *, last: str) -> None:
        """Store objects under a prefix that is still free; `last` appears when all others are there."""

    def get_bytes(self, key: str) -> bytes | None:
        """Return an object, or None where there is none."""

    def get_file(self, key: str, target: Path) -> None:
        """Copy an object into a local file. Raises StoreError where there is none."""

    def size_bytes(self, key: str) -> int | None:
        """Return the length of an object, or None where there is none."""

    def names(self, prefix: str) -> list[str]:
        """Return the sorted names directly below a prefix, of objects and of what looks like folders."""

    def keys(self, prefix: str, *, skipped: str | None = None) -> list[str]:
        """Return the sorted keys of all objects below a prefix, but those in folders of the skipped name."""

    def delete(self, prefix: str) -> None:
        """Remove the object of this key and everything below it; silent where there is nothing."""

    def local_path(self, key: str) -> Path | None:
        """Return where a key lies on this machine's disk, or None for a remote store."""


def open_object_store(location: str) -> ObjectStore:
    """Return the store at a folder path or an fsspec address (`s3://bucket/path`, `memory://x`)."""
    if "://" not in location:
        return FolderStore(Path(location))
    if location.startswith("file://"):
        return FolderStore(Path(location.removeprefix("file://")))
    return RemoteStore(location)


class FolderStore:
    """A folder on a disk; objects appear by rename, after their bytes are safely down."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._staging = self.root / STAGING_FOLDER
        self._has_tidied = False

    def put_bytes(self, key: str, content: bytes) -> None:
        """Replace one object."""
        self._put(key, content)

    def put_file(self, key: str, source: Path) -> None:
        """Replace one object by the content of a local file."""
        self._put(key, source)

    def _put(self, key: str, content: Path | bytes) -> None:
        target = self._path(key)
        with _as_store_error(f"write {key}"), self._stage() as folder:
            written = folder / "object"
            _write_durably(written, content)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(written, target)
            _sync_folder(target.parent)

    def put_folder(self, prefix: str, files: Mapping[str, Path | bytes], *, last: str) -> None:
        """Store several objects by one rename of their folder; refuses a prefix that is taken."""
        if last not in files:
            raise ValueError(f"last must be one of the files {sorted(files)}, got {last!r}")
        target = self._path(prefix)
        with _as_store_error(f"write {prefix}"), self._stage() as folder:
            whole = folder / "folder"
            whole.mkdir()
            for name, content in files.items():
                _write_durably(whole / _checked_key(name), content)
            _sync_folder(whole)
            target.parent.mkdir(parents=True, exist_ok=True)
            os.rename(whole, target)
            _sync_folder(target.parent)

    def get_bytes(self, key: str) -> bytes | None:
        """Return an object, or None where there is none."""
        with _as_store_error(f"read {key}"):
            try:
                return self._path(key).read_bytes()
            except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
                return None

    def get_file(self, key: str, target: Path) -> None:
        """Copy an object into a local file."""
        with _as_store_error(f"read {key}"):
            shutil.copyfile(self._path(key), target)

    def size_bytes(self, key: str) -> int | None:
        """Return the length of an object, or None where there is none."""
        with _as_store_error(f"read {key}"):
            try:
                return self._path(key).stat().st_size
            except (FileNotFoundError, NotADirectoryError):
                return None

    def names(self, prefix: str) -> list[str]:
        """Return the sorted names directly below a prefix."""
        with _as_store_error(f"list {prefix}"):
            try:
                return sorted(name for name in os.listdir(self._folder(prefix)) if name != STAGING_FOLDER)
            except (FileNotFoundError, NotADirectoryError):
                return []

    def keys(self, prefix: str, *, skipped: str | None = None) -> list[str]:
        """Return the sorted keys of all objects below a prefix, but those in folders of the skipped name."""
        found = []
        with _as_store_error(f"list {prefix}"):
            for folder, subfolders, files in os.walk(self._folder(prefix)):
                subfolders[:] = [name for name in subfolders if name not in (STAGING_FOLDER, skipped)]
                relative = Path(folder).relative_to(self.root).as_posix()
                below = "" if relative == "." else f"{relative}/"
                found += [f"{below}{name}" for name in files]
        return sorted(found)

    def delete(self, prefix: str) -> None:
        """Remove an object or a folder; a folder vanishes at once, by rename."""
        path = self._path(prefix)
        with _as_store_error(f"delete {prefix}"):
            if not path.is_dir():
                path.unlink(missing_ok=True)
                return
            with self._stage() as folder:
                os.rename(path, folder / "deleted")

    def local_path(self, key: str) -> Path | None:
        """Return where a key lies on disk."""
        return self._path(key)

    def remove_stale_staging(self) -> int:
        """Remove what processes that are gone left half-written; return how many folders that were."""
        removed = 0
        for folder in self._staging.glob("*"):
            if _is_abandoned(folder):
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
        return removed

    def _path(self, key: str) -> Path:
        return self.root / _checked_key(key)

    def _folder(self, prefix: str) -> Path:
        return self._path(prefix) if prefix.strip("/") else self.root

    @contextlib.contextmanager
    def _stage(self) -> Iterator[Path]:
        self._staging.mkdir(parents=True, exist_ok=True)
        if not self._has_tidied:
            self._has_tidied = True
            self.remove_stale_staging()
        folder = Path(tempfile.mkdtemp(prefix=f"{socket.gethostname()}-{os.getpid()}-", dir=self._staging))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class RemoteStore:
    """An fsspec file system; one upload is atomic there, and a folder counts once its last object is up."""

    def __init__(self, location: str) -> None:
        self.location = location
        self._opened: tuple[int, Any, str] | None = None

    def put_bytes(self, key: str, content: bytes) -> None:
        """Replace one object."""
        with self._talking(f"write {key}") as (files, root):
            files.pipe_file(f"{root}/{_checked_key(key)}", content)

    def put_file(self, key: str, source: Path) -> None:
        """Replace one object by the content of a local file."""
        with self._talking(f"write {key}") as (files, root):
            files.put_file(str(source), f"{root}/{_checked_key(key)}")

    def put_folder(self, prefix: str, files: Mapping[str, Path | bytes], *, last: str) -> None:
        """Upload several objects, `last` when the others are up; what was uploaded is removed on failure."""
        if last not in files:
            raise ValueError(f"last must be one of the files {sorted(files)}, got {last!r}")
        if self.size_bytes(f"{prefix}/{last}") is not None:
            raise StoreError(f"{prefix} is already in the store; a stored folder is never replaced")
        try:
            with self._talking(f"write {prefix}") as (remote, root):
                for name in sorted(files, key=lambda name: name == last):
                    content = files[name]
                    address = f"{root}/{_checked_key(prefix)}/{_checked_key(name)}"
                    if isinstance(content, bytes):
                        remote.pipe_file(address, content)
                    else:
                        remote.put_file(str(content), address)
        except StoreError:
            with contextlib.suppress(StoreError):
                self.delete(prefix)
            raise

    def get_bytes(self, key: str) -> bytes | None:
        """Return an object, or None where there is none."""
        with self._talking(f"read {key}") as (files, root):
            try:
                content: bytes = files.cat_file(f"{root}/{_checked_key(key)}")
            except (FileNotFoundError, IsADirectoryError):
                return None
            return content

    def get_file(self, key: str, target: Path) -> None:
        """Copy an object into a local file."""
        with self._talking(f"read {key}") as (files, root):
            files.get_file(f"{root}/{_checked_key(key)}", str(target))

    def size_bytes(self, key: str) -> int | None:
        """Return the length of an object, or None where there is none."""
        with self._talking(f"read {key}") as (files, root):
            try:
                size: int | None = files.info(f"{root}/{_checked_key(key)}")["size"]
            except FileNotFoundError:
                return None
            return size

    def names(self, prefix: str) -> list[str]:
        """Return the sorted names directly below a prefix."""
        with self._talking(f"list {prefix}") as (files, root):
            try:
                found = files.ls(self._below(root, prefix), detail=False)
            except FileNotFoundError:
                return []
            return sorted({PurePosixPath(path.rstrip("/")).name for path in found} - {""})

    def keys(self, prefix: str, *, skipped: str | None = None) -> list[str]:
        """Return the sorted keys of all objects below a prefix, but those in folders of the skipped name."""
        with self._talking(f"list {prefix}") as (files, root):
            try:
                found = files.find(self._below(root, prefix))
            except FileNotFoundError:
                return []
            keys = sorted(path[len(root) + 1 :] for path in found)
        # One listing of all costs a bucket less than one of each folder.
        return [key for key in keys if skipped is None or skipped not in key.split("/")[:-1]]

    def delete(self, prefix: str) -> None:
        """Remove an object or everything below a prefix."""
        with (
            self._talking(f"delete {prefix}") as (files, root),
            contextlib.suppress(FileNotFoundError),
        ):
            files.rm(f"{root}/{_checked_key(prefix)}", recursive=True)

    def local_path(self, key: str) -> Path | None:
        """Return None: nothing of a remote store lies on this disk."""
        _checked_key(key)
        return None

    @staticmethod
    def _below(root: str, prefix: str) -> str:
        return f"{root}/{_checked_key(prefix)}" if prefix.strip("/") else root

    @contextlib.contextmanager
    def _talking(self, action: str) -> Iterator[tuple[Any, str]]:
        with _as_store_error(action):
            files, root = self._connect()
            files.invalidate_cache()
            yield files, root

    def _connect(self) -> tuple[Any, str]:
        # fsspec's clients do not survive a fork, and gunicorn and RQ both fork: one client per process.
        if self._opened is None or self._opened[0] != os.getpid():
            import fsspec

            try:
                files, root = fsspec.core.url_to_fs(
                    self.location, skip_instance_cache=True, use_listings_cache=False
                )
            except (ImportError, ValueError) as exc:
                raise StoreError(
                    f"the store's address cannot be used: {exc}; S3 needs the extra `s3` installed"
                ) from exc
            self._opened = (os.getpid(), files, str(root).rstrip("/"))
        return self._opened[1], self._opened[2]


@contextlib.contextmanager
def _as_store_error(action: str) -> Iterator[None]:
    """Turn whatever a disk or a cloud client raises into StoreError."""
    try:
        yield
    except (StoreError, ValueError):
        raise
    except Exception as exc:  # botocore, gcsfs and adlfs have no common base
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc) or type(exc).__name__
        raise StoreError(f"cannot {action}: {reason}") from exc


def _checked_key(key: str) -> str:
    parts = key.strip("/").split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise ValueError(f"a key has plain parts separated by slashes, got {key!r}")
    return "/".join(parts)


def _write_durably(path: Path, content: Path | bytes) -> None:
    with path.open("wb") as target:
        if isinstance(content, bytes):
            target.write(content)
        else:
            with content.open("rb") as source:
                shutil.copyfileobj(source, target, 1024 * 1024)
        target.flush()
        os.fsync(target.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_abandoned(folder: Path) -> bool:
    """Tell whether the process that staged here is gone; one on another machine is judged by age."""
    with contextlib.suppress(OSError):
        if time.time() - folder.stat().st_mtime > STALE_AFTER_S:
            return True
    match = re.fullmatch(rf"{re.escape(socket.gethostname())}-(\d+)-.*", folder.name)
    if match is None:
        return False
    try:
        os.kill(int(match[1]), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
