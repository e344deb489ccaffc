"""Which file of a folder a task's reference means: whole parts of its path agree, and no other file fits.

References come from another machine, so the folder may stand for any place on their way. An export says
`/data/local-files/?d=yolo/images/cell%201.png`; the folder at hand is `yolo`, `images`, or a copy of either.
It stands for one place only: were both `a/1.png` and `b/1.png` read as `1.png`, one of them would be wrong.
"""

from __future__ import annotations

import base64
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, unquote_plus

from backend.errors import ImageNotFound

Parts = tuple[str, ...]
_UPLOAD = re.compile(r"(?:^|/)(?:data/|storage-data/uploaded/?\?filepath=)upload/(.+)$", re.DOTALL)
_LOCAL_FILE = re.compile(r"(?:^|/)data/local-files/?\?(?:.*&)?d=(.+)$", re.DOTALL)
_THROUGH_LABEL_STUDIO = re.compile(
    r"(?:^|/)(?:tasks|projects)/\d+/(?:presign|resolve)/?\?(?:.*&)?fileuri=([\w=-]+)"
)
_WEB = re.compile(r"(?:https?:)?//[^/?#]*", re.IGNORECASE)
_CLOUD = re.compile(r"(?:s3|gs|azure-blob|azure-spi)://", re.IGNORECASE)
# A Windows path begins with its drive, with the share of a server (`\\nas\scans\1.png`), or with neither.
_ABSOLUTE = re.compile(r"(?:file:)?/|\\+|(?:file:/*)?[A-Za-z]:[\\/]", re.IGNORECASE)
_SEPARATORS = re.compile(r"[\\/]+")
# Label Studio puts eight random digits before the name of a file that is uploaded.
_UPLOADED_NAME = re.compile(r"[0-9a-f]{8}-(.+)", re.DOTALL)
_NAMED = 5


@dataclass(frozen=True)
class _Place:
    """What a reference says of a file's place.

    readings: its path in parts, the likelier first. root: where the path begins; references of one root are
    cut alike. None: the path begins at the folder itself, so that nothing may be cut.
    """

    readings: tuple[Parts, ...]
    root: str | None = None


class FolderNames:
    """The files below a folder, by the references of tasks.

    references: all that will be asked for, as far as they are known. Together they tell what place the folder
    stands for, and whether one name fits several of them.
    """

    def __init__(self, folder: Path, references: Iterable[str] = ()) -> None:
        self._folder = folder
        self._above = _composed(folder.parts[1:])
        self._files: dict[str, list[Parts]] = defaultdict(list)
        self._spelled: dict[Parts, list[Parts]] = defaultdict(list)
        for above, _, files in os.walk(folder):
            below = Path(above).relative_to(folder).parts
            for file in files:
                parts = _composed((*below, file))
                self._spelled[parts].append((*below, file))
                if len(self._spelled[parts]) == 1:
                    self._files[parts[-1]].append(parts)
        known = {place for reference in references if (place := _place(reference)) is not None}
        self._starts = self._starts_by_root(known)
        self._original_names = Counter(name for place in known for name in _original_names(place))

    def find(self, reference: str) -> Path | None:
        """Return the file that is meant; None where none is.

        Raises ImageNotFound where several files fit, or one fits several references.
        """
        place = _place(reference)
        if place is None:
            return None
        found = self._whole(place) or self._below_start(place) or self._by_original_name(place)
        if found is None:
            return None
        spelled = self._spelled[found]
        if len(spelled) > 1:
            raise _ambiguous("/".join(found), spelled)
        return self._folder.joinpath(*spelled[0])

    def _whole(self, place: _Place) -> Parts | None:
        """Return the file whose path, the folder's own included, ends with all of the reference's."""
        for parts in place.readings:
            fitting = self._ending_with(parts)
            if parts in fitting:
                return parts
            if len(fitting) > 1:
                raise _ambiguous("/".join(parts), fitting)
            if fitting:
                return fitting[0]
        return None

    def _below_start(self, place: _Place) -> Parts | None:
        """Return the file that is left of the reference's path without what the folder stands for."""
        if place.root is None:
            return None
        starts = self._starts.get(place.root) or self._starts_by_root({place}).get(place.root, ())
        if len(starts) > 1:
            raise ImageNotFound(
                f"{self._folder} may stand for {_listed(starts)}; put the images into folders of these names"
            )
        for start in starts:
            for parts in place.readings:
                rest = parts[len(start) :]
                if parts[: len(start)] != start or rest not in self._files.get(parts[-1], ()):
                    continue
                fitting = self._ending_with(rest)
                if len(fitting) > 1:
                    raise _ambiguous("/".join(parts), fitting)
                return rest
        return None

    def _by_original_name(self, place: _Place) -> Parts | None:
        """Return the file that has the name from before an upload."""
        for name in _original_names(place):
            fitting = self._ending_with((name,))
            if len(fitting) > 1:
                raise _ambiguous(name, fitting)
            if fitting and self._original_names[name] > 1:
                raise ImageNotFound(
                    f"{name} was uploaded {self._original_names[name]} times; name the file "
                    f"{place.readings[0][-1]}, as its task does"
                )
            if fitting:
                return fitting[0]
        return None

    def _ending_with(self, parts: Parts) -> list[Parts]:
        found = self._files.get(parts[-1], ())
        return [file for file in found if (*self._above, *file)[-len(parts) :] == parts]

    def _starts_by_root(self, places: set[_Place]) -> dict[str, tuple[Parts, ...]]:
        """Return, by root, the start of paths that the folder stands for; several where nothing decides.

        The end of the folder's own path comes first, then what finds most files, then the shortest.
        """
        counts: dict[str, Counter[Parts]] = defaultdict(Counter)
        for place in places:
            if place.root is not None:
                counts[place.root].update(
                    {
                        parts[:length]
                        for parts in place.readings
                        for length in range(len(parts))
                        if parts[length:] in self._files.get(parts[-1], ())
                    }
                )
        above = self._above
        starts = {}
        for root, of_root in counts.items():
            ranks = {
                start: (above[len(above) - len(start) :] == start, count, -len(start))
                for start, count in of_root.items()
            }
            best = max(ranks.values(), default=None)
            starts[root] = tuple(sorted(start for start, rank in ranks.items() if rank == best))
        return starts


def _place(reference: str) -> _Place | None:
    """Return where a reference says the file is; None where it is elsewhere: on the web, or in the task."""
    text = reference.strip() if isinstance(reference, str) else ""
    if not text or text.startswith("data:"):
        return None
    if (upload := _UPLOAD.search(text)) is not None:
        readings = _readings(upload[1], unquote(upload[1]))
        names = tuple((parts[-1],) for parts in readings if _UPLOADED_NAME.fullmatch(parts[-1]))
        return _Place((*readings, *names), root="upload")
    if (local := _LOCAL_FILE.search(text)) is not None:
        return _Place(_readings(unquote(local[1]), local[1], unquote_plus(local[1])), root="local-files")
    if (address := _THROUGH_LABEL_STUDIO.search(text)) is not None:
        return _place(_decoded(address[1]))
    if _WEB.match(text):
        return None
    if (cloud := _CLOUD.match(text)) is not None:
        key = text[cloud.end() :]
        return _Place(_readings(key, unquote(key)), root=cloud[0].lower())
    root = _ABSOLUTE.match(text)
    if root is not None:
        path = text[root.end() :]
        return _Place(_readings(path, unquote(path)), root=root[0].lower())
    return _Place(_readings(text, unquote(text)))


def _readings(*paths: str) -> tuple[Parts, ...]:
    """Return paths in parts; a backslash parts them as Windows does, unless it belongs to a name."""
    split = [
        _composed(part for part in parts if part not in ("", "."))
        for path in paths
        for parts in (path.split("/"), _SEPARATORS.split(path))
    ]
    return tuple(dict.fromkeys(parts for path in split if (parts := _without_ups(path))))


def _composed(parts: Iterable[str]) -> Parts:
    """Return names in Unicode's composed form: macOS writes an accent as a character of its own."""
    return tuple(unicodedata.normalize("NFC", part) for part in parts)


def _decoded(code: str) -> str:
    """Return the reference inside an address by which Label Studio hands out a bucket's file; "" for none."""
    try:
        return base64.urlsafe_b64decode(code).decode()
    except ValueError:
        return ""


def _without_ups(parts: Parts) -> Parts:
    """Return a path without the `..` it begins with: from where it led up is not known, only what follows.

    A bare name that is left would fit too much.
    """
    ups = next((k for k, part in enumerate(parts) if part != ".."), len(parts))
    return parts if ups == 0 or len(parts) - ups < 2 else parts[ups:]


def _original_names(place: _Place) -> tuple[str, ...]:
    if place.root != "upload":
        return ()
    names = (_UPLOADED_NAME.fullmatch(parts[-1]) for parts in place.readings)
    return tuple(dict.fromkeys(name[1] for name in names if name is not None))


def _ambiguous(name: str, files: Iterable[Parts]) -> ImageNotFound:
    return ImageNotFound(f"{name} may be any of {_listed(files)}; name the folder that holds the right one")


def _listed(paths: Iterable[Parts]) -> str:
    names = ["/".join(path) for path in paths]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
