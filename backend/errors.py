"""Every error this package raises on purpose.

    BackendError
    ├── RequestError            the caller sent something we cannot use
    │   ├── LabelConfigError    the labeling config is not XML, or has no image labels
    │   ├── AnnotationError     a task or region is malformed
    │   ├── ParameterError      a parameter is unknown, of the wrong type or out of range
    │   ├── ProjectKeyError     a project id that is not `7` or `7.1763750000`
    │   └── ConflictError       it no longer fits the present state (job running, prediction changed)
    ├── NotFoundError           no such job, version, project or task
    ├── FetchError              an image could not be had
    │   ├── ImageNotFound       the host says there is none, or the reference names none
    │   ├── ImageTooLarge       over the limit of bytes or pixels
    │   ├── ImageDecodeError    what came is no image we can read
    │   ├── HostAway            the host does not answer, or not now
    │   └── AddressRefused      the address is of a kind we never fetch from
    ├── LabelStudioError        Label Studio is unreachable or refused us
    │   ├── LabelStudioAuthError    no credentials, or they were refused
    │   └── LabelStudioGone     the project or task does not exist (any more)
    ├── VersionError            a model version is missing, damaged or does not fit
    ├── TextReadingError        the engine that reads text failed
    ├── NoMemoryLeft            the device has no memory left for a prediction or a prompt
    ├── StoreError              the store could not be read or written (disk full, no access)
    ├── QueueError              Redis is away, so nothing can be queued now
    ├── SettingsError           an environment variable has a bad value
    └── TrainingError           a training cannot go on
        ├── NotEnoughData       nothing usable to learn from
        ├── LossDiverged        the loss is not finite
        ├── OutOfMemory         does not fit even at batch size 1
        └── TrainingStopped     the user asked to stop and to discard

Status codes are the web layer's business (`backend.web.problems`). A message says what was wanted,
what came, and the next move.
"""

from __future__ import annotations


class BackendError(Exception):
    """Base of all errors raised on purpose; `str(error)` is fit to show to a user."""


class RequestError(BackendError):
    """The caller sent something we cannot use; `field` is the path of the offending value, if known."""

    def __init__(self, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class LabelConfigError(RequestError):
    """The labeling config is not valid XML, or has nothing this backend can predict."""


class AnnotationError(RequestError):
    """A task, annotation or region is malformed."""


class ParameterError(RequestError):
    """A parameter is unknown, of the wrong type or out of range."""


class ProjectKeyError(RequestError):
    """A project id that is neither `7` nor `7.1763750000`."""


class ConflictError(RequestError):
    """The request no longer fits the present state; `job_id` names the job in the way, if one is."""

    def __init__(self, message: str, *, job_id: str | None = None) -> None:
        super().__init__(message)
        self.job_id = job_id


class NotFoundError(BackendError):
    """No such job, version, project or task."""


class FetchError(BackendError):
    """An image could not be had; costs the one task that needs it."""


class ImageNotFound(FetchError):
    """The host has no such image, or the task names none."""


class ImageTooLarge(FetchError):
    """The image is over the limit of bytes or pixels."""


class ImageDecodeError(FetchError):
    """What came is not an image that can be read."""


class HostAway(FetchError):
    """The host of the image does not answer in time, or says that it cannot now."""


class AddressRefused(FetchError):
    """The address is of a kind that is never fetched (file:, link-local, outside the allow-list)."""


class LabelStudioError(BackendError):
    """Label Studio is unreachable, slow, or answered with an error."""


class LabelStudioAuthError(LabelStudioError):
    """There are no credentials for Label Studio, or it refused them."""


class LabelStudioGone(LabelStudioError):
    """The project or task does not exist in Label Studio (any more)."""


class VersionError(BackendError):
    """A model version is missing, damaged, or does not fit what it is to be used for."""


class NotReadyError(VersionError):
    """What predicts is being loaded, downloaded or learned.

    version: the name that its predictions will carry.
    """

    def __init__(self, message: str, *, version: str = "") -> None:
        super().__init__(message)
        self.version = version


class TextReadingError(BackendError):
    """The engine that reads text in images failed, or is not there."""


class NoMemoryLeft(BackendError):
    """The device has no memory left for one image or prompt, also after what was kept is given back."""


class StoreError(BackendError):
    """The store of models and requests could not be read or written."""


class QueueError(BackendError):
    """Redis cannot be reached, so nothing can be queued or looked up now."""


class SettingsError(BackendError):
    """An environment variable has a value that cannot be used."""


class TrainingError(BackendError):
    """A training cannot go on; the model that served before serves on."""


class NotEnoughData(TrainingError):
    """There is nothing usable to learn from."""


class LossDiverged(TrainingError):
    """The loss became infinite or not a number."""


class OutOfMemory(TrainingError):
    """One image at a time still does not fit into memory."""


class TrainingStopped(TrainingError):
    """The user asked to stop the training and to discard what it had learned."""
