"""What a prompt is answered from: the image's encoding and the networks, each made once and within a time.

A version that is being loaded keeps nobody waiting: the one before it answers until then, and the general
network where there is none. Whoever has an encoding in memory needs no thread of the pool, so slow images
hold up nobody but those who want them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from backend.core.geometry.instances import FloatArray
from backend.core.labelstudio.prompts import HINT_LIMITS
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.loaded_versions import NOT_TRAINED, LoadedVersions, Predictor
from backend.service.engine.shared_cache import SharedCache, run_here, run_in_thread
from backend.service.engine.work_items import RgbImage
from backend.service.ports import EncodingFiles, ImageAccess, ImageSource
from backend.service.smart_tools.encoding_cache import EncodingCache, EncodingKey, Sized

if TYPE_CHECKING:
    from backend.core.labelstudio.prompts import Prompts
    from backend.nn.prompts.encoding import Encoding
    from backend.nn.prompts.segmenter import BoxMasks, SegmentedObject

MOST_THREADS = 8
MOST_SEGMENTERS = 4
LOADING_SHARE = 0.5
"""How much of an answer's time may go by before the general network steps in for one that is being loaded."""


class Segmenter(Protocol):
    """A network that answers prompts on encoded images; threads may share it."""

    def segment(
        self,
        encoding: Encoding,
        prompts: Prompts,
        label_index: int | None = None,
        detector: BoxMasks | None = None,
    ) -> SegmentedObject | None:
        """Return the object that the prompts mean, None where nothing is found."""

    def warm_up(self) -> None:
        """Make the first real answer meet ready code."""


LoadSegmenter = Callable[[Path | None], Segmenter]


@dataclass(frozen=True)
class Embedder:
    """An image encoder whose features are kept with every encoding; name: tells it from all others."""

    name: str
    embed: Callable[[RgbImage], FloatArray]


@dataclass(frozen=True)
class Promptable:
    """One image ready for prompts; detector: the version's, None for the general network."""

    encoding: Encoding
    segmenter: Segmenter
    detector: Predictor | None

    @property
    def version(self) -> str:
        """Name the version that answers."""
        return NOT_TRAINED if self.detector is None else self.detector.version

    @property
    def labels(self) -> tuple[str, ...]:
        """Return the labels that the detector knows."""
        return () if self.detector is None else self.detector.labels


class EncodedImages:
    """Encodings and prompt networks of one process; threads may share it."""

    def __init__(
        self,
        images: ImageSource,
        versions: LoadedVersions,
        batching: BatchingQueue,
        load_segmenter: LoadSegmenter,
        version_folder: Callable[[str, str], Path],
        files: EncodingFiles,
        *,
        memory_bytes: int,
        embedder: Embedder | None = None,
    ) -> None:
        """Join the collaborators; load_segmenter gets a version's folder, or None for the general network.

        embedder: of a segmenter that needs more than the image; None for our own.
        """
        self._images = images
        self._versions = versions
        self._batching = batching
        self._load_segmenter = load_segmenter
        self._version_folder = version_folder
        self._embedder = embedder
        self._lock = threading.Lock()
        self._segmenters: SharedCache[tuple[str, str], Segmenter] = SharedCache(MOST_SEGMENTERS)
        self._threads: ThreadPoolExecutor | None = None
        self.encodings = EncodingCache(memory_bytes, files, _pack, _unpack)

    def get(self, reference: str, project_key: str, access: ImageAccess, deadline: float) -> Promptable:
        """Return what answers prompts on an image; deadline on the monotonic clock.

        Raises FetchError, and concurrent.futures.TimeoutError at the deadline, while the preparing goes on.
        """
        predictor = self._versions.ready_predictor(project_key, _left(deadline) * LOADING_SHARE)
        segmenter = self._segmenter(project_key, predictor)
        begin = partial(self._encoding, reference, project_key, predictor, access, is_bulk=False)
        if self._images.known_picture_id(reference, access) is not None:
            encoding = begin()
        else:
            encoding = self._pool().submit(begin).result(timeout=_left(deadline))
        return Promptable(
            cast("Encoding", encoding.result(timeout=_left(deadline))),
            segmenter.result(timeout=_left(deadline)),
            predictor,
        )

    def encode(self, reference: str, project_key: str, access: ImageAccess) -> None:
        """Encode an image that is likely to be asked for, in this thread. Raises FetchError."""
        predictor = self._versions.predictor(project_key)
        self._encoding(reference, project_key, predictor, access, is_bulk=True).result()

    def is_encoded(self, reference: str, project_key: str, access: ImageAccess) -> bool:
        """Tell whether an image's encoding is kept on this machine, or on its way. Raises FetchError.

        An image that its host was not asked about for a while may be another by now: it is not.
        """
        picture_id = self._images.known_picture_id(reference, access)
        version = self._versions.reported(project_key)
        return picture_id is not None and self._key(project_key, version, picture_id) in self.encodings

    def warm_up(self) -> None:
        """Load the general network and run it once, before the first annotator waits for it."""
        segmenter = self._segmenter("", None).result()
        self._batching.call(segmenter.warm_up).result()

    def _encoding(
        self,
        reference: str,
        project_key: str,
        predictor: Predictor | None,
        access: ImageAccess,
        *,
        is_bulk: bool,
    ) -> Future[Sized]:
        """Return the encoding of the picture that stands at an address now. Raises FetchError."""

        def make() -> Encoding:
            from backend.nn.prompts.encoding import encode_image

            image = self._images.load_rgb(reference, access)
            detections = maps = features = None
            if predictor is not None:
                detect = partial(predictor.detect_with_maps, image, **HINT_LIMITS)
                detections, maps = self._batching.call(detect, is_bulk=is_bulk).result()
            if self._embedder is not None:
                embed = partial(self._embedder.embed, image)
                features = self._batching.call(embed, is_bulk=is_bulk).result()
            return encode_image(image, detections, maps, features)

        version = NOT_TRAINED if predictor is None else predictor.version
        key = self._key(project_key, version, self._images.picture_id(reference, access))
        start = run_here if is_bulk else self._pool().submit
        return self.encodings.ask(key, make, start)

    def _key(self, project_key: str, version: str, picture_id: str) -> EncodingKey:
        embedder = "" if self._embedder is None else self._embedder.name
        return EncodingKey(project_key, version, picture_id, embedder)

    def _segmenter(self, project_key: str, predictor: Predictor | None) -> Future[Segmenter]:
        key = (project_key, predictor.version) if predictor is not None else ("", NOT_TRAINED)
        folder = partial(self._version_folder, *key) if predictor is not None else lambda: None
        return self._segmenters.ask(
            key, lambda: self._load_segmenter(folder()), run_in_thread("load-prompts")
        )

    def _pool(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(MOST_THREADS, thread_name_prefix="smart-tools")
            return self._threads


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def _pack(encoding: Sized) -> bytes:
    from backend.core.prompting.encoded_image import pack_image

    held = cast("Encoding", encoding)
    return pack_image(held.image, held.size, held.detections, held.maps, held.features)


def _unpack(content: bytes) -> Sized:
    from backend.core.prompting.encoded_image import unpack_image
    from backend.nn.prompts.encoding import Encoding

    return Encoding(*unpack_image(content))
