"""One image of each storage kind, fetched, and its size compared with what Label Studio says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backend.errors import BackendError
from backend.service.checks.check import FAILED, OK, WARNING, Check
from backend.service.ports import ImageSource
from backend.service.projects.connections import Connections
from backend.service.projects.task_index import TaskIndex, TaskRow

_SIZE_TOLERANCE_PX = 1
_SIGNED = (
    "Label Studio signs these addresses: the project needs that bucket as a source storage, and the token "
    "must see the project."
)
STORAGES: Mapping[str, tuple[str, str]] = {
    "upload": (
        "an upload",
        "Uploads need a token that Label Studio accepts: set LABEL_STUDIO_API_KEY, and LABEL_STUDIO_URL to "
        "an address that this service reaches.",
    ),
    "local-files": (
        "local files",
        "Add the folder as a storage of the project in Label Studio and switch on "
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED; files outside a storage are never served.",
    ),
    "s3": ("S3", _SIGNED),
    "gs": ("Google Cloud Storage", _SIGNED),
    "azure": ("Azure Blob Storage", _SIGNED),
    "http": (
        "the web",
        "The address must answer to this service too; ALLOW_PRIVATE_ADDRESSES and IMAGE_HOSTS may refuse it.",
    ),
    "data": ("the task itself", "The data URI is damaged; import the task again."),
}


def storage_kind(reference: str) -> str:
    """Return which kind of storage an image reference points to: one key of STORAGES."""
    scheme = reference.partition(":")[0].lower()
    if scheme in ("data", "s3", "gs"):
        return scheme
    if scheme.startswith("azure"):
        return "azure"
    if "/data/upload/" in reference:
        return "upload"
    return "local-files" if "/data/local-files/" in reference else "http"


@dataclass(frozen=True)
class ImageChecks:
    """Fetches one image of each storage kind that a project uses."""

    connections: Connections
    images: ImageSource
    index: TaskIndex

    def run(self, key: str) -> Iterator[Check]:
        """Yield one check for each storage kind; an annotated task is taken where there is one."""
        try:
            rows, _ = self.index.rows(key)
        except BackendError as exc:
            yield Check("images", "Images", FAILED, str(exc), "See the lines above.")
            return
        samples: dict[str, TaskRow] = {}
        for row in rows:
            for page in row.pages[:1]:
                kind = storage_kind(page.reference)
                if kind not in samples or (row.is_annotated and not samples[kind].is_annotated):
                    samples[kind] = row
        if not samples:
            fix = 'Import images, or correct value="$..." of the <Image> tag.'
            found = "No task of the project has an image that the config names."
            yield Check("images", "Images", WARNING, found, fix)
        for kind, row in samples.items():
            yield self._one_image(key, kind, row)

    def _one_image(self, key: str, kind: str, row: TaskRow) -> Check:
        storage, fix = STORAGES[kind]
        name, title = f"image-{kind}", f"Image from {storage}"
        try:
            access = self.connections.image_access(key, row.task_id)
            pixels = self.images.load_rgb(row.pages[0].reference, access)
        except BackendError as exc:
            return Check(name, title, FAILED, f"task {row.task_id}: {exc}", fix)
        height, width = pixels.shape[:2]
        noted = self._noted_size_wh(key, row)
        found = f"task {row.task_id}: {width}x{height} pixels"
        if noted is None:
            return Check(name, title, OK, f"{found}; nothing is drawn on it yet to compare with")
        if max(abs(noted[0] - width), abs(noted[1] - height)) > _SIZE_TOLERANCE_PX:
            found = f"{found}, but Label Studio drew on {noted[0]}x{noted[1]}"
            fix = (
                "The file changed since it was labelled, or another one is served under its address; import "
                "the labelled images again."
            )
            return Check(name, title, FAILED, found, fix)
        return Check(name, title, OK, f"{found}, as in Label Studio")

    def _noted_size_wh(self, key: str, row: TaskRow) -> tuple[int, int] | None:
        """Return the image's width and height as some region of the task notes them."""
        if not row.is_annotated:
            return None
        try:
            annotations = self.connections.label_studio(key).annotations(row.task_id)
        except BackendError:
            return None
        for annotation in annotations:
            for region in annotation.get("result") or ():
                width, height = region.get("original_width"), region.get("original_height")
                if isinstance(width, int) and isinstance(height, int) and not region.get("item_index"):
                    return width, height
        return None
