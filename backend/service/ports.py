"""What the service needs from outside; `backend.infra` has the real ones, `tests/fakes/` the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.pyramid import Pyramid
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.text.lines import ReadText, TextLine
from backend.core.versions.card import VersionCard

Json = dict[str, Any]
Names = list[str]  # where a method of the class is called `list`


@dataclass(frozen=True)
class ImageAccess:
    """What fetching the images of one task may need.

    hostname and token: of the Label Studio that owns the task (sent to that host only); login and password:
    the project's HTTP credentials, for the task's own host only.
    """

    hostname: str | None = None
    token: str | None = field(default=None, repr=False)
    task_id: int | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)


AfterTask = Callable[[str, Mapping[str, Any], LabelConfig, ImageAccess], None]
"""What is told of each task that was answered alone: project key, task, labeling config, access."""


@dataclass(frozen=True)
class CacheUse:
    """How many images came from a cache, and how many had to be fetched."""

    hits: int = 0
    misses: int = 0


class ImageSource(Protocol):
    """Images by the reference that stands in the task's data."""

    def load_rgb(self, reference: str, access: ImageAccess) -> npt.NDArray[np.uint8]:
        """Return uint8 [H, W, 3], EXIF orientation applied. Raises FetchError."""

    def pyramid(self, reference: str, access: ImageAccess) -> Pyramid:
        """Return the picture of `load_rgb` at halving sizes, a small one at its own. Raises FetchError."""

    def shrunk(
        self, reference: str, access: ImageAccess, longest_px: int
    ) -> tuple[npt.NDArray[np.uint8], ImageSize]:
        """Return the picture of `load_rgb`, its longer side at most so long, and its true size.

        Raises FetchError.
        """

    def stretched_range(self, reference: str, access: ImageAccess) -> tuple[int, int] | None:
        """Return which 16-bit values `load_rgb` shows as 0 and 255; None for the full range, or 8 bits.

        Raises FetchError.
        """

    def orientation(self, reference: str, access: ImageAccess) -> int:
        """Return the EXIF orientation by which `load_rgb` turns an image: 1 to 8. Raises FetchError."""

    def picture_id(self, reference: str, access: ImageAccess) -> str:
        """Return what tells a picture from others that stand or stood at its address. Raises FetchError."""

    def known_picture_id(self, reference: str, access: ImageAccess) -> str | None:
        """Return what `picture_id` does, or None where that has to ask the network."""

    def is_cached(self, reference: str, access: ImageAccess) -> bool:
        """Tell whether the picture is on this machine."""

    def cache_use(self) -> CacheUse:
        """Return how the cache served this process so far."""


class TextReader(Protocol):
    """An engine that reads text; threads may share it. Every call may raise TextReadingError."""

    @property
    def name(self) -> str:
        """Its name, in lower case."""

    def find_lines(self, image: npt.NDArray[np.uint8]) -> list[TextLine]:
        """Return the lines of text in an RGB image uint8 [H, W, 3], in its pixels."""

    def read(self, crops: Sequence[npt.NDArray[np.uint8]]) -> list[ReadText]:
        """Return the text of each cut-out, RGB uint8 [H, W, 3], one line each."""


class EncodingFiles(Protocol):
    """Encodings that all web processes of a machine keep together, by hexadecimal name. Nothing is raised."""

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Wait until nobody else on this machine makes the same one, and keep others from making it."""

    def read(self, name: str) -> bytes | None:
        """Return what was written, or None; marks it as used."""

    def write(self, name: str, content: bytes) -> None:
        """Keep the bytes for as long as there is room for them."""

    def mark_used(self, name: str) -> None:
        """Let it be among the last to go."""

    def drop(self, name: str) -> None:
        """Forget one."""

    def __contains__(self, name: str) -> bool:
        """Tell whether there is one."""


class SmallFiles(Protocol):
    """What the processes of a machine keep together, by hexadecimal name. Nothing is raised."""

    def read(self, name: str) -> bytes | None:
        """Return what was written, or None; marks it as used."""

    def write(self, name: str, content: bytes) -> None:
        """Keep the bytes for as long as there is room for them."""


class WaitingRoom(Protocol):
    """Those who wait for an answer of any web process of this machine."""

    def entered(self) -> AbstractContextManager[None]:
        """Count as waiting for as long as this lasts."""

    def seconds_empty(self) -> float:
        """Return for how long nobody has waited, 0 while somebody does."""


class LabelStudio(Protocol):
    """One Label Studio, spoken to with one set of credentials. Every call may raise LabelStudioError."""

    def project(self, project_id: int) -> Json:
        """Return the project (label_config, model_version, created_at, counters, ...)."""

    def projects(self) -> list[Json]:
        """Return all projects the credentials can see."""

    def export_annotated(self, project_id: int) -> list[Json]:
        """Return every task that has an annotation, with its annotations."""

    def tasks(self, project_id: int, *, page: int, page_size: int) -> tuple[list[Json], int]:
        """Return one page (from 1) of tasks with data and counters, and the number of all."""

    def iterate_tasks(self, project_id: int, *, page_size: int = 500) -> Iterator[Json]:
        """Yield every task; never triggers a prediction in Label Studio."""

    def annotations(self, task_id: int) -> list[Json]:
        """Return the annotations of a task."""

    def create_annotation(self, task_id: int, result: Sequence[Json], **fields: Any) -> Json:
        """Create an annotation and return it."""

    def update_annotation(self, annotation_id: int, result: Sequence[Json]) -> Json:
        """Replace the results of an annotation and return it."""

    def delete_annotation(self, annotation_id: int) -> None:
        """Delete an annotation."""

    def predictions(self, task_id: int) -> list[Json]:
        """Return the predictions stored for a task."""

    def predicted_task_ids(
        self, project_id: int, model_version: str, *, among: Sequence[int] | None = None
    ) -> set[int]:
        """Return the ids of the tasks that already have a prediction of this version, of all or of some.

        Few ids that lie close together cost little, however large the project is.
        """

    def prediction_scores(self, project_id: int) -> dict[int, float]:
        """Return the mean prediction score of the tasks that have one, as its list shows it."""

    def import_predictions(self, project_id: int, predictions: Sequence[Json]) -> int:
        """Store predictions `{task, result, score, model_version}`; return how many were created."""

    def set_prediction_score(self, prediction_id: int, score: float) -> None:
        """Change the score of a stored prediction, by which tasks are sorted; its regions keep theirs."""

    def delete_predictions(self, prediction_ids: Iterable[int]) -> None:
        """Delete predictions."""

    def set_model_version(self, project_id: int, model_version: str) -> None:
        """Set the project's `model_version`, which makes scores and sampling use that version."""

    def set_sampling(self, project_id: int, sampling: str) -> None:
        """Set the project's `sampling`: in which order annotators get tasks."""

    def create_view(self, project_id: int, data: Mapping[str, Any]) -> int:
        """Make a tab of the Data Manager (title, filters, ordering, ...) and return its id."""

    def delete_view(self, view_id: int) -> None:
        """Remove a tab of the Data Manager; one that is gone already is fine."""

    def ml_backends(self, project_id: int) -> list[Json]:
        """Return the models connected to the project (url, state, error_message, model_version, ...)."""

    def webhooks(self, project_id: int) -> list[Json]:
        """Return the project's webhooks (url, is_active, ...)."""


@dataclass(frozen=True)
class ListedVersion:
    """A version among those of its project; is_pinned: it is kept however old it gets."""

    card: VersionCard
    is_pinned: bool
    is_current: bool

    def as_json(self) -> Json:
        """Return its card with `pinned` and `is_current`, as the API shows it; its report has a route."""
        card = replace(self.card, evaluation=None).as_json()
        return {**card, "pinned": self.is_pinned, "is_current": self.is_current}


class VersionStore(Protocol):
    """Model versions of all projects, one folder each, published whole or not at all."""

    def publish(
        self, project_key: str, version: str, folder: Path, card: VersionCard, *, activate: bool
    ) -> None:
        """Store the files of `folder` and the card; make the version current if asked. Raises StoreError."""

    def list(self, project_key: str) -> list[ListedVersion]:
        """Return the readable versions, newest first."""

    def current(self, project_key: str) -> str | None:
        """Return the version that serves now; falls back to the newest good one if that is damaged."""

    def activate(self, project_key: str, version: str) -> None:
        """Make `version` the one that serves. Raises VersionError if it is missing or damaged."""

    def local_folder(self, project_key: str, version: str) -> Path:
        """Return a local folder with the version's files, verified. Raises VersionError."""

    def card(self, project_key: str, version: str) -> VersionCard:
        """Return the version's card. Raises VersionError."""

    def set_pinned(self, project_key: str, version: str, pinned: bool) -> None:
        """Keep the version out of, or give it back to, the clearing of old ones."""

    def delete(self, project_key: str, version: str) -> None:
        """Delete a version that does not serve. Raises VersionError."""

    def delete_all(self, project_key: str) -> None:
        """Delete every version of a project that is gone, pinned and serving ones too."""

    def export_file(self, project_key: str, version: str, target: Path) -> Path:
        """Write the version as one file and return its path."""

    def import_file(self, project_key: str, source: Path, *, activate: bool) -> str:
        """Validate and store an exported file, return its version; or VersionError and nothing written."""

    def problems(self) -> Names:
        """Return a sentence for each damaged version that was met in the last minutes."""


class CheckpointStore(Protocol):
    """Copies of checkpoints where workers on other machines find them. Nothing is raised."""

    def fetch(self, job_id: str, path: Path) -> None:
        """Bring the copy to `path`, unless a newer checkpoint lies there."""

    def keep(self, job_id: str, path: Path) -> None:
        """Copy the checkpoint at `path` without waiting."""

    def finish(self, job_id: str, path: Path, within_s: float) -> None:
        """Wait until the newest checkpoint is copied, or so long."""

    def drop(self, job_id: str) -> None:
        """Remove the copy of a job that has ended."""

    def job_ids(self) -> list[str]:
        """Return the jobs that have a copy."""


class DocumentStore(Protocol):
    """Small JSON documents by path (`projects/7.1763/settings.json`), written whole or not at all."""

    def read(self, path: str) -> Json | None:
        """Return the document, or None where there is none."""

    def write(self, path: str, document: Mapping[str, Any]) -> None:
        """Replace the document. Raises StoreError."""

    def delete(self, path: str) -> None:
        """Remove the document if it is there."""

    def list(self, prefix: str) -> list[str]:
        """Return the paths below a prefix."""


ACTIVE = ("queued", "started")
"""What a job's status is before its end."""
ENDED = ("finished", "failed", "stopped")
"""What a job's status is from its end on."""


@dataclass(frozen=True)
class JobRecord:
    """One job as `/job_status` shows it; times are seconds since the epoch.

    payload_path: the request document that `enqueue` was given.
    """

    job_id: str
    kind: str
    project_key: str
    status: str  # one of ACTIVE or ENDED
    progress: Json = field(default_factory=dict)
    model_version: str | None = None
    error: str | None = None
    details: Json = field(default_factory=dict)
    created_at: float | None = None
    started_at: float | None = None
    ended_at: float | None = None
    payload_path: str = ""

    @property
    def is_active(self) -> bool:
        """Tell whether the job waits or runs."""
        return self.status in ACTIVE


@dataclass(frozen=True)
class Changes:
    """Annotations of a project that were made, changed or deleted since somebody acted on that.

    updates: those of them that were changed. last_heard: unix seconds.
    """

    count: int
    updates: int
    last_heard: float

    def joined(self, other: Changes) -> Changes:
        """Return both together."""
        return Changes(
            self.count + other.count, self.updates + other.updates, max(self.last_heard, other.last_heard)
        )


class ChangeCounts(Protocol):
    """One count per project, shared by all web processes. Each call raises QueueError while Redis is away."""

    def add(self, project_key: str, changes: Changes) -> None:
        """Add what one process heard."""

    def read(self, project_key: str) -> Changes | None:
        """Return the count, None where nothing was heard."""

    def take(self, project_key: str, seen: Changes) -> bool:
        """Take away what was seen, to act on it; tell whether it was still there: one process gets it."""


class ServingStamps(Protocol):
    """One number per project, which changes when another version may serve; all processes see the same.

    Each call raises QueueError while Redis is away. The end of a training changes the stamp as well: whoever
    sees the job finished sees the new stamp.
    """

    def read(self, project_key: str) -> int:
        """Return the stamp, 0 where there is none yet."""

    def advance(self, project_key: str) -> None:
        """Change the stamp, after the store has the new state."""


@dataclass(frozen=True)
class WorkerState:
    """How many workers live, how many of them work, and how many jobs wait for one."""

    workers: int
    busy: int
    waiting: int

    def as_json(self) -> Json:
        """Return the three counts as the API shows them."""
        return dict(vars(self))


class Locks(Protocol):
    """Locks that all processes share, on any machines."""

    def held(self, name: str) -> AbstractContextManager[None]:
        """Keep everybody else from the same name for as long as this lasts.

        Raises ConflictError where somebody holds it for longer than a request can wait, QueueError while
        Redis is away.
        """


class JobQueue(Protocol):
    """Jobs that workers run. Every call raises QueueError while Redis is away."""

    def enqueue(self, kind: str, project_key: str, payload_path: str, *, alone: bool = False) -> str:
        """Queue a job of a kind, whose request document stands at payload_path.

        alone: raise ConflictError, atomically, with the id of another one that was queued so for the project
        and has not ended.
        """

    def enqueue_training(self, project_key: str, payload_path: str, *, follow_up: bool) -> str:
        """Queue a training unless one is queued or running for the project, atomically.

        Then: with follow_up, return the id of the one waiting follow-up (made if need be); without,
        raise ConflictError with the id in the way.
        """

    def labels_taken(self, job_id: str) -> None:
        """Note that a training has read its labels: what is drawn from now on needs a follow-up."""

    def record(self, job_id: str) -> JobRecord:
        """Return the job. Raises NotFoundError."""

    def records(self, project_key: str | None = None, *, limit: int = 1000) -> list[JobRecord]:
        """Return the newest `limit` of the known jobs, newest first.

        Of a project also the older ones that run, and of those that wait the next `limit` of each kind.
        """

    def worker_state(self) -> WorkerState:
        """Return how many workers live and work, and how many jobs wait."""

    def queue_lengths(self) -> Mapping[str, int]:
        """Return how many jobs of each kind wait for a worker."""

    def active_training(self, project_key: str) -> JobRecord | None:
        """Return the running or queued training of the project, the running one first."""

    def update(self, job_id: str, **fields: Any) -> None:
        """Change progress, details, model_version or error of a job."""

    def request_stop(self, job_id: str, *, mode: str) -> None:
        """Ask a job to end: mode "keep" or "discard". A queued one is stopped at once."""

    def stop_mode(self, job_id: str) -> str | None:
        """Return what `request_stop` asked of the job, or None."""

    def resume(self, job_id: str) -> None:
        """Queue a failed background prediction again, under its id; any other job stays as it is."""
