"""What is known of each Label Studio project: its one key, its connection, its saved settings.

Label Studio names one project in two ways: `7.1763750000` (id and creation time in unix seconds) in `/setup`
and `/predict`, and `7` in events and in what label-studio-ml 2.x hands on. The long form is the key; the
short one is looked up among the known long ones.
"""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from backend.core.labelstudio.label_config import parse_label_config
from backend.core.labelstudio.left_alone import in_words
from backend.errors import LabelConfigError, ProjectKeyError
from backend.service.ports import DocumentStore, Json
from backend.service.projects.documents import Connection, Deletion, ImageCredentials, ProjectSettings
from backend.service.projects.extra_params import parse_extra_params

logger = logging.getLogger(__name__)

_KEY = re.compile(r"[0-9]{1,15}(\.[0-9]{1,15})?")
_CACHE_S = 3.0
_CACHE_ENTRIES = 2000
_TOUCH_EVERY_S = 60.0


def parse_project_key(raw: Any) -> str:
    """Return a project id as text, `7` or `7.1763750000`. Raises ProjectKeyError for anything else."""
    text = str(raw) if isinstance(raw, int) and not isinstance(raw, bool) else raw
    if not isinstance(text, str) or not _KEY.fullmatch(text):
        raise ProjectKeyError(
            f"project must be an id such as 7 or 7.1763750000, got {str(raw)[:80]!r}", field="project"
        )
    return text


def project_id(key: str) -> int:
    """Return Label Studio's number of the project."""
    return int(key.partition(".")[0])


def key_of_project_object(project: Any) -> str:
    """Return the key of the project object of an event: id and `created_at` in unix seconds.

    An object without a readable `created_at` gives the short key. Raises ProjectKeyError.
    """
    if not isinstance(project, Mapping):
        return parse_project_key(project)
    short = parse_project_key(project.get("id"))
    created_at = project.get("created_at")
    if not isinstance(created_at, str) or "." in short:
        return short
    try:
        moment = datetime.fromisoformat(created_at.replace("Z", "+00:00"))
    except ValueError:
        return short
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return f"{short}.{max(0, int(moment.timestamp()))}"


class Projects:
    """Reads and writes the documents of projects; safe to share between threads.

    Reads are kept for a few seconds, so that a burst of events costs no store; other processes therefore
    see a change after at most that long.
    """

    def __init__(self, documents: DocumentStore, clock: Callable[[], float] = time.time) -> None:
        self._documents = documents
        self._clock = clock
        self._lock = threading.RLock()
        self._changing = threading.RLock()
        self._cache: dict[str, tuple[float, Any]] = {}

    def canonical(self, raw: Any, label_config: str | None = None) -> str:
        """Return the one key of a project, however the caller writes it. Raises ProjectKeyError.

        A short id stands for the known long key; where several Label Studios have that id, for the one with
        this labeling config, else for the one heard of last. A long key that comes first after its short
        form was used joins it.
        """
        key = parse_project_key(raw)
        short, dot, _ = key.partition(".")
        joined = (self._read(_path(short, "joined")) or {}).get("full")
        if dot:
            return short if joined == key else self._join(short, key, joined)
        candidates = [known for known in self.known() if known.partition(".")[0] == short]
        if not candidates:
            return short
        seen = {known: self.connection(known) for known in candidates}
        return max(
            candidates,
            key=lambda known: (
                label_config is not None and seen[known].label_config == label_config,
                seen[known].last_seen,
            ),
        )

    def known(self, *, fresh: bool = False) -> list[str]:
        """Return the keys of all projects that were ever connected or trained; fresh: as of now."""

        def list_keys() -> list[str]:
            parts = (path.split("/") for path in self._documents.list("projects/"))
            return sorted({part[1] for part in parts if len(part) == 3 and _KEY.fullmatch(part[1])})

        return list(self._cached("projects/", list_keys, fresh=fresh))

    def connection(self, key: str, *, fresh: bool = False) -> Connection:
        """Return what `/setup` brought, empty where it never came; fresh: as it is now."""
        document = self._read(_path(key, "connection"), fresh=fresh)
        return Connection.from_document(document) if document else Connection()

    def remember(
        self,
        key: str,
        *,
        hostname: str | None = None,
        access_token: str | None = None,
        label_config: str | None = None,
        extra_params: Any = ...,
        image_credentials: ImageCredentials | None = None,
    ) -> Connection:
        """Keep what came; None leaves a value as it was, `...` leaves the Extra params as they were."""
        deletion = self._deletion(key)
        if deletion is not None and deletion.was_missing:
            self.restore(key)

        def joined(before: Connection) -> Connection:
            credentials = before.image_credentials if image_credentials is None else image_credentials
            after = replace(
                before,
                hostname=hostname or before.hostname,
                access_token=access_token or before.access_token,
                label_config=label_config or before.label_config,
                image_credentials=credentials,
            )
            if extra_params is ...:
                return after
            values, problem = parse_extra_params(extra_params)
            return replace(after, extra_params=values, extra_params_problem=problem)

        # An open Data Manager calls /setup all the time: an unchanged connection is written once a minute.
        known, now = self.connection(key), self._clock()
        if joined(known) == known and now - known.last_seen <= _TOUCH_EVERY_S:
            return known
        with self._changing:
            # What another process wrote a moment ago must not be overwritten.
            before = self.connection(key, fresh=True)
            after = replace(joined(before), last_seen=now)
            self._write(_path(key, "connection"), after.as_document())
        problem = after.extra_params_problem
        if extra_params is not ... and problem is not None and problem != before.extra_params_problem:
            logger.warning("project %s: Extra params cannot be used: %s", key, problem)
        if label_config is not None and label_config != before.label_config:
            _log_what_is_not_learned(key, label_config)
        return after

    def settings(self, key: str) -> ProjectSettings:
        """Return the saved settings of the project, defaults where none were saved."""
        return ProjectSettings.from_document(self._read(_path(key, "settings")) or {})

    def change_settings(self, key: str, change: Callable[[ProjectSettings], ProjectSettings]) -> None:
        """Replace the saved settings by what `change` makes of those that are saved now. Raises StoreError.

        What another thread, or another process a moment ago, saved is not overwritten.
        """
        with self._changing:
            document = self._read(_path(key, "settings"), fresh=True)
            self.save_settings(key, change(ProjectSettings.from_document(document or {})))

    def save_settings(self, key: str, settings: ProjectSettings) -> None:
        """Replace the saved settings. Raises StoreError."""
        self._write(_path(key, "settings"), settings.as_document())

    def served(self, key: str) -> str | None:
        """Return the version that Label Studio was last told to name, None where it never was."""
        document = self._read(_path(key, "served"))
        return None if document is None else str(document["version"])

    def note_served(self, key: str, version: str) -> None:
        """Note which version Label Studio was told to name. Raises StoreError."""
        self._write(_path(key, "served"), {"version": version})

    def zero_shot_instead_of(self, key: str) -> str | None:
        """Return the version in whose place the zero-shot network was chosen, None where it was not."""
        document = self._read(_path(key, "zero_shot"), fresh=True)
        return None if document is None else document["instead_of"]

    def choose_zero_shot(self, key: str, instead_of: str | None) -> None:
        """Note in place of which version the zero-shot network serves; None ends that. Raises StoreError."""
        self._write(_path(key, "zero_shot"), {"instead_of": instead_of})

    def annotations_seen(self, key: str) -> int | None:
        """Return how many annotations the project had when a change of them last led to a training."""
        document = self._read(_path(key, "changes"))
        return None if document is None else document["annotations"]

    def note_annotations_seen(self, key: str, annotations: int | None) -> None:
        """Note how many annotations the project has; None where that is not told. Raises StoreError."""
        self._write(_path(key, "changes"), {"annotations": annotations})

    def last_event(self, key: str) -> float | None:
        """Return when an event of the project last came, seconds since the epoch. Raises StoreError."""
        document = self._read(_path(key, "last_event"))
        return None if document is None else float(document["at"])

    def note_event(self, key: str, at: float) -> None:
        """Note when an event of the project came. Raises StoreError."""
        self._write(_path(key, "last_event"), {"at": at})

    def mark_deleted(self, key: str, *, was_missing: bool = False) -> None:
        """Note that a project is gone and drop its credentials; settings and versions stay for a while.

        was_missing: nobody deleted it here, so `remember` takes the mark away: whoever speaks of it has it.
        """
        self._write(_path(key, "deleted"), Deletion(self._clock(), was_missing).as_document())
        self._documents.delete(_path(key, "connection"))
        with self._lock:
            self._cache.pop(_path(key, "connection"), None)

    def is_deleted(self, key: str, *, fresh: bool = False) -> bool:
        """Tell whether a project is marked as gone; fresh: now, not within the last seconds."""
        return self._read(_path(key, "deleted"), fresh=fresh) is not None

    def deleted_at(self, key: str) -> float | None:
        """Return when a project was marked as gone, None where it is not."""
        deletion = self._deletion(key)
        return None if deletion is None else deletion.deleted_at

    def forget(self, key: str) -> None:
        """Delete every document of a project, the panel's too."""
        for folder in ("projects", "panel"):
            for path in self._documents.list(f"{folder}/{key}/"):
                self._documents.delete(path)
        with self._lock:
            self._cache.clear()

    def restore(self, key: str) -> None:
        """Take the mark away, because the project has a model again."""
        if self.is_deleted(key):
            self._documents.delete(_path(key, "deleted"))
            with self._lock:
                self._cache.pop(_path(key, "deleted"), None)

    def _deletion(self, key: str) -> Deletion | None:
        document = self._read(_path(key, "deleted"))
        return None if document is None else Deletion.from_document(document)

    def _join(self, short: str, key: str, joined: str | None) -> str:
        known = self.known()
        if joined is not None or short not in known or key in known:
            return key
        self._write(_path(short, "joined"), {"full": key})
        logger.info("project %s is the same as %s, which was used before", key, short)
        return short

    def _read(self, path: str, *, fresh: bool = False) -> Json | None:
        document: Json | None = self._cached(path, lambda: self._documents.read(path), fresh=fresh)
        return document

    def _write(self, path: str, document: Json) -> None:
        self._documents.write(path, document)
        with self._lock:
            self._cache[path] = (self._clock(), document)
            self._cache.pop("projects/", None)

    def _cached(self, path: str, load: Callable[[], Any], *, fresh: bool) -> Any:
        now = self._clock()
        with self._lock:
            entry = self._cache.get(path)
            if not fresh and entry is not None and 0 <= now - entry[0] < _CACHE_S:
                return entry[1]
        value = load()
        with self._lock:
            if len(self._cache) >= _CACHE_ENTRIES:
                self._cache.clear()
            self._cache[path] = (now, value)
        return value


def _log_what_is_not_learned(key: str, xml: str) -> None:
    """Say which tags of a labeling config are left alone; a config that cannot be read is said to be so."""
    try:
        config = parse_label_config(xml)
    except LabelConfigError as exc:
        logger.warning("project %s: its labeling config cannot be learned from: %s", key, exc)
        return
    if said := in_words(config.left_alone, only_drawing=False):
        logger.warning("project %s: not learned, or not all of it: %s", key, said)


def _path(key: str, name: str) -> str:
    return f"projects/{key}/{name}.json"
