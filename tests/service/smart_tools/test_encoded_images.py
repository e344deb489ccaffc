from __future__ import annotations

import threading
import time
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path

import numpy as np
import pytest

from backend.core.prompting.windows import Window
from backend.core.versions.card import VersionCard
from backend.nn.prompts.encoding import encode_image
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.loaded_versions import NOT_TRAINED, LoadedVersions
from backend.service.engine.named_network import NamedNetwork
from backend.service.ports import ImageAccess
from backend.service.smart_tools.encoded_images import EncodedImages, Promptable
from backend.service.smart_tools.segmenters import SMART_TOOLS, LoadedNetwork
from tests.fakes.encoding_files import FakeEncodingFiles
from tests.fakes.images import FakeImages
from tests.fakes.predictor import FakePredictor
from tests.fakes.version_store import FakeVersionStore

KEY = "7.1763750000"
ACCESS = ImageAccess()


class AnyImage(FakeImages):
    def load_rgb(self, reference, access):
        return np.zeros((48, 64, 3), np.uint8)


def make(
    tmp_path, *, load=None, images=None, files=None, memory_bytes=64 << 20, load_segmenter=None, chosen=None
):
    store = FakeVersionStore(tmp_path)
    versions = LoadedVersions(store, load or (lambda folder: FakePredictor(version=folder.name)))
    prepared = EncodedImages(
        images or AnyImage(),
        versions,
        BatchingQueue(),
        load_segmenter or (lambda folder: f"segmenter of {folder.name if folder else 'all'}"),
        store.local_folder,
        files or FakeEncodingFiles(),
        memory_bytes=memory_bytes,
        chosen=chosen,
    )
    prepared.store, prepared.versions_here = store, versions
    return prepared


def publish(prepared, version) -> None:
    prepared.store.publish(KEY, version, Path("/nonexistent"), VersionCard(version), activate=True)
    prepared.versions_here.announce(KEY)


def get(prepared, reference="a.png", within_s=30.0) -> Promptable:
    return prepared.get(reference, KEY, ACCESS, time.monotonic() + within_s)


def test_before_any_training_the_general_network_answers(tmp_path):
    ready = get(make(tmp_path))
    assert (ready.version, ready.labels, ready.segmenter) == (NOT_TRAINED, (), "segmenter of all")
    assert ready.encoding.detections is None


def test_a_version_brings_its_own_encoding_network_and_labels(tmp_path):
    prepared = make(tmp_path)
    get(prepared)
    publish(prepared, "v1")
    ready = get(prepared)
    assert (ready.version, ready.segmenter) == ("v1", "segmenter of v1")
    assert ready.labels == FakePredictor().labels
    assert ready.encoding.detections is not None
    assert prepared.encodings.made == 2


def test_while_a_version_is_loaded_the_one_before_it_answers(tmp_path):
    may_load = threading.Event()

    def load(folder):
        if folder.name == "v2":
            assert may_load.wait(30)
        return FakePredictor(version=folder.name)

    prepared = make(tmp_path, load=load)
    publish(prepared, "v1")
    assert get(prepared).version == "v1"
    publish(prepared, "v2")
    started = time.monotonic()
    assert get(prepared).version == "v1"
    assert time.monotonic() - started < 15  # half of what get() had would have been the wait
    may_load.set()
    assert prepared.versions_here.predictor(KEY).version == "v2"
    assert get(prepared).version == "v2"


def test_the_general_network_answers_while_the_first_version_takes_long_to_load(tmp_path):
    may_load = threading.Event()

    def load(folder):
        assert may_load.wait(30)
        return FakePredictor(version=folder.name)

    prepared = make(tmp_path, load=load)
    publish(prepared, "v1")
    assert get(prepared, within_s=0.4).version == NOT_TRAINED
    may_load.set()
    assert get(prepared).version == "v1"


def test_at_the_deadline_the_caller_goes_and_the_preparing_goes_on(tmp_path):
    images = FakeImages({"a.png": np.zeros((48, 64, 3), np.uint8)}, seconds=0.5)
    prepared = make(tmp_path, images=images)
    with pytest.raises(FutureTimeout):
        get(prepared, within_s=0.1)
    assert prepared.is_encoded("a.png", KEY, ACCESS)
    assert get(prepared).encoding.size.width == 64
    assert len(images.asked) == 1


def test_a_picture_that_was_replaced_is_encoded_anew(tmp_path):
    images = FakeImages({"a.png": np.zeros((48, 64, 3), np.uint8)})
    prepared = make(tmp_path, images=images)
    get(prepared)
    images.images["a.png"] = np.full((24, 32, 3), 90, np.uint8)
    assert not prepared.is_encoded("a.png", KEY, ACCESS)
    assert get(prepared).encoding.size.width == 32
    images.images["a.png"] = np.zeros((48, 64, 3), np.uint8)
    assert get(prepared).encoding.size.width == 64 and prepared.encodings.made == 2


def test_a_picture_that_has_to_be_asked_about_goes_on_being_prepared_after_the_deadline(tmp_path):
    class Unknown(AnyImage):
        def known_picture_id(self, reference, access):
            return None

        def picture_id(self, reference, access):
            time.sleep(0.3)
            return super().picture_id(reference, access)

    prepared = make(tmp_path, images=Unknown())
    with pytest.raises(FutureTimeout):
        get(prepared, within_s=0.05)
    until = time.monotonic() + 10
    while prepared.encodings.made == 0 and time.monotonic() < until:
        time.sleep(0.02)
    assert prepared.encodings.made == 1


def test_images_that_never_come_hold_up_nobody_with_an_encoding(tmp_path):
    may_come = threading.Event()

    class Slow(FakeImages):
        def load_rgb(self, reference, access):
            if reference.startswith("slow"):
                assert may_come.wait(30)
            return np.zeros((48, 64, 3), np.uint8)

    prepared = make(tmp_path, images=Slow())
    get(prepared)
    for number in range(20):
        with pytest.raises(FutureTimeout):
            get(prepared, f"slow-{number}.png", within_s=0.01)
    assert get(prepared).version == NOT_TRAINED
    may_come.set()


def test_another_process_takes_over_what_this_one_prepared(tmp_path):
    files = FakeEncodingFiles()
    first = make(tmp_path / "1", files=files)
    publish(first, "v1")
    before = get(first).encoding
    second = make(tmp_path / "2", files=files)
    publish(second, "v1")
    assert second.is_encoded("a.png", KEY, ACCESS)
    after = get(second).encoding
    assert second.encodings.made == 0
    assert np.array_equal(after.image, before.image) and after.size == before.size
    assert np.array_equal(after.detections.boxes_xyxy_px, before.detections.boxes_xyxy_px)


def test_features_of_another_network_are_made_once_and_never_mixed_up(tmp_path):
    files, asked = FakeEncodingFiles(), []

    def network(name: str, value: float) -> NamedNetwork[LoadedNetwork]:
        def embed(image):
            asked.append((name, image.shape))
            return (np.full((2, 3, 4), value, np.float16), np.full((1, 6, 8), value, np.float16))

        chosen = NamedNetwork(
            name, lambda: LoadedNetwork(name, embed, f"segmenter {name}", "mit"), SMART_TOOLS, is_local=True
        )
        chosen.warm_up()
        return chosen

    for k, (name, value) in enumerate([("one", 1.0), ("one", 1.0), ("two", 2.0)]):
        prepared = make(tmp_path / str(k), files=files, chosen=network(name, value))
        publish(prepared, "v1")
        for _ in range(2):
            kept = get(prepared).encoding.features
            assert [features.shape for features in kept] == [(2, 3, 4), (1, 6, 8)]
            assert all((features == value).all() for features in kept)
        assert prepared.is_encoded("a.png", KEY, ACCESS)
    assert asked == [("one", (48, 64, 3)), ("two", (48, 64, 3))]


def test_until_the_chosen_network_is_there_our_own_answers_and_their_encodings_stay_apart(tmp_path):
    may_load = threading.Event()

    def load() -> LoadedNetwork:
        assert may_load.wait(30)
        return LoadedNetwork(
            "its weights", lambda image: (np.ones((2, 3, 4), np.float16),), "the chosen", "mit"
        )

    prepared = make(tmp_path, chosen=NamedNetwork("a network", load, SMART_TOOLS, is_local=False))
    before = get(prepared)
    assert (before.segmenter, before.encoding.features) == ("segmenter of all", ())
    assert prepared.is_encoded("a.png", KEY, ACCESS)
    may_load.set()
    until = time.monotonic() + 10
    while prepared.network_state().licence is None and time.monotonic() < until:
        time.sleep(0.01)
    assert not prepared.is_encoded("a.png", KEY, ACCESS)
    after = get(prepared)
    assert after.segmenter == "the chosen" and after.encoding.features[0].shape == (2, 3, 4)
    before_key, after_key = prepared.encodings.keys()
    assert (before_key.embedder, after_key.embedder) == ("", "its weights")


def test_a_segmenter_that_cannot_be_loaded_is_tried_again(tmp_path):
    failures = [OSError("away")]

    def load_segmenter(folder):
        if failures:
            raise failures.pop()
        return "segmenter"

    prepared = make(tmp_path, load_segmenter=load_segmenter)
    with pytest.raises(OSError, match="away"):
        get(prepared)
    assert get(prepared).segmenter == "segmenter"


def test_the_memory_stays_under_its_bound_through_two_thousand_images(tmp_path):
    one = encode_image(np.zeros((48, 64, 3), np.uint8), None).bytes_held
    prepared = make(tmp_path, memory_bytes=40 * one)
    most = 0
    for k in range(2000):
        prepared.encode(f"{k}.png", KEY, ACCESS)
        most = max(most, prepared.encodings.bytes_held)
    assert 39 * one <= most <= 40 * one and len(prepared.encodings) == 40


class Chequered(FakeImages):
    """A large picture of lines one pixel wide, which shrinking makes grey."""

    def load_rgb(self, reference, access):
        picture = np.zeros((40, 3000, 3), np.uint8)
        picture[:, ::2] = 255
        return picture


def test_windows_of_a_large_picture_are_cut_from_the_picture_itself_in_every_process(tmp_path):
    files = FakeEncodingFiles()
    for _ in range(2):
        prepared = make(tmp_path, images=Chequered(), files=files)
        for _ in range(2):
            encoding = get(prepared).encoding
            assert encoding.size.width == 3000 and encoding.image.shape[1] < 3000
            window = encoding.window(Window(1000, 0, 40), 40)
            assert window[:, ::2].min() == 255 and window[:, 1::2].max() == 0
        assert prepared.encodings.bytes_held < 8_000_000
