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
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from backend.core.labelstudio.prompts import HINT_LIMITS
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.loaded_versions import NOT_TRAINED, LoadedVersions, Predictor
from backend.service.engine.named_network import NamedNetwork, NetworkState
from backend.service.engine.shared_cache import SharedCache, run_here, run_in_thread
from backend.service.ports import EncodingFiles, ImageAccess, ImageSource
from backend.service.smart_tools.encoding_cache import EncodingCache, EncodingKey, Sized
from backend.service.smart_tools.segmenters import LoadedNetwork, Segmenter

if TYPE_CHECKING:
    from backend.nn.prompts.encoding import Encoding

MOST_THREADS = 8
MOST_SEGMENTERS = 4
LOADING_SHARE = 0.5
"""How much of an answer's time may go by before the general network steps in for one that is being loaded."""


LoadSegmenter = Callable[[Path | None], Segmenter]


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

    @property
    def turned_labels(self) -> frozenset[str]:
        """Return the labels whose rectangles are drawn turned, as far as the detector knows."""
        return frozenset() if self.detector is None else self.detector.turned_labels


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
        chosen: NamedNetwork[LoadedNetwork] | None = None,
    ) -> None:
        """Join the collaborators; load_segmenter gets a version's folder, or None for the general network.

        chosen: answers in place of all of them from when it is loaded.
        """
        self._images = images
        self._versions = versions
        self._batching = batching
        self._load_segmenter = load_segmenter
        self._version_folder = version_folder
        self._chosen = chosen
        self._lock = threading.Lock()
        self._segmenters: SharedCache[tuple[str, str], Segmenter] = SharedCache(MOST_SEGMENTERS)
        self._threads: ThreadPoolExecutor | None = None
        self.encodings = EncodingCache(memory_bytes, files, _pack, _unpack)

    def get(self, reference: str, project_key: str, access: ImageAccess, deadline: float) -> Promptable:
        """Return what answers prompts on an image; deadline on the monotonic clock.

        Raises FetchError, and concurrent.futures.TimeoutError at the deadline, while the preparing goes on.
        """
        predictor = self._versions.ready_predictor(project_key, _left(deadline) * LOADING_SHARE)
        # Asked once: the features of one network mean nothing to another, and it may come in between.
        other = self._other_network()
        segmenter = self._segmenter(project_key, predictor, other)
        begin = partial(self._encoding, reference, project_key, predictor, other, access, is_bulk=False)
        if self._images.known_picture_id(reference, access) is not None:
            encoding = begin()
        else:
            encoding = self._pool().submit(begin).result(timeout=_left(deadline))
        ready = cast("Encoding", encoding.result(timeout=_left(deadline)))
        if ready.is_shrunk:
            # Looked for each time: what an encoding held on to would keep its file from making room.
            picture = self._pool().submit(self._images.pyramid, reference, access)
            ready = replace(ready, larger=picture.result(timeout=_left(deadline)))
        return Promptable(ready, segmenter.result(timeout=_left(deadline)), predictor)

    def encode(self, reference: str, project_key: str, access: ImageAccess) -> None:
        """Encode an image that is likely to be asked for, in this thread. Raises FetchError."""
        predictor = self._versions.predictor(project_key)
        other = self._other_network()
        self._encoding(reference, project_key, predictor, other, access, is_bulk=True).result()

    def is_encoded(self, reference: str, project_key: str, access: ImageAccess) -> bool:
        """Tell whether an image's encoding is kept on this machine, or on its way. Raises FetchError.

        An image that its host was not asked about for a while may be another by now: it is not.
        """
        picture_id = self._images.known_picture_id(reference, access)
        version = self._versions.current(project_key) or NOT_TRAINED
        if picture_id is None:
            return False
        return _key(project_key, version, picture_id, self._other_network()) in self.encodings

    def warm_up(self) -> None:
        """Load the general network and run it once, before the first annotator waits for it.

        Then the chosen network: where it has to be downloaded this does not wait for it.
        """
        segmenter = self._segmenter("", None, None).result()
        self._batching.call(segmenter.warm_up).result()
        if self._chosen is not None:
            self._chosen.warm_up()

    def network_state(self) -> NetworkState:
        """Say which network answers now."""
        return NetworkState() if self._chosen is None else self._chosen.state

    def _other_network(self) -> LoadedNetwork | None:
        """Return the network that answers in place of our own now, None where our own does."""
        return None if self._chosen is None else self._chosen.loaded()

    def _encoding(
        self,
        reference: str,
        project_key: str,
        predictor: Predictor | None,
        other: LoadedNetwork | None,
        access: ImageAccess,
        *,
        is_bulk: bool,
    ) -> Future[Sized]:
        """Return the encoding of the picture that stands at an address now. Raises FetchError."""

        def make() -> Encoding:
            from backend.nn.prompts.encoding import encode_picture

            picture = self._images.pyramid(reference, access)
            image = picture.levels[0]
            detections = maps = None
            if predictor is not None:
                detect = partial(predictor.detect_with_maps, image, **HINT_LIMITS)
                detections, maps = self._batching.call(detect, is_bulk=is_bulk).result()
            if other is None:
                return replace(encode_picture(picture, detections, maps), larger=None)
            embed = partial(other.embed, image)
            features = self._batching.call(embed, is_bulk=is_bulk).result()
            return replace(encode_picture(picture, detections, maps, features), larger=None)

        version = NOT_TRAINED if predictor is None else predictor.version
        key = _key(project_key, version, self._images.picture_id(reference, access), other)
        start = run_here if is_bulk else self._pool().submit
        return self.encodings.ask(key, make, start)

    def _segmenter(
        self, project_key: str, predictor: Predictor | None, other: LoadedNetwork | None
    ) -> Future[Segmenter]:
        if other is not None:
            ready: Future[Segmenter] = Future()
            ready.set_result(other.segmenter)
            return ready
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


def _key(project_key: str, version: str, picture_id: str, other: LoadedNetwork | None) -> EncodingKey:
    return EncodingKey(project_key, version, picture_id, "" if other is None else other.embedder)


def _pack(encoding: Sized) -> bytes:
    from backend.core.prompting.encoded_image import pack_image

    held = cast("Encoding", encoding)
    return pack_image(held.image, held.size, held.detections, held.maps, held.features)


def _unpack(content: bytes) -> Sized:
    from backend.core.prompting.encoded_image import unpack_image
    from backend.nn.prompts.encoding import Encoding

    return Encoding(*unpack_image(content))
