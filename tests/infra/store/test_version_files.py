import json
import struct
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save

from backend.core.versions.card import VersionCard
from backend.errors import VersionError
from backend.infra.store.version_files import (
    describe_files,
    extract_archive,
    parse_manifest,
    validate_archive,
    validate_card,
    verify_folder,
    write_archive,
)

LABELS = ["cat/żółw", "dog"]
ARCHITECTURE = {"backbone": "resnet18", "label_count": 2, "image_size_px": 416, "has_masks": True}
CARD = {"architecture": ARCHITECTURE, "labels": LABELS}
WEIGHTS = save(
    {"a": np.zeros((2, 3), np.float32), "b": np.ones(5, np.int64), "none": np.zeros((0, 4), np.float16)}
)
LIMIT = 10**6


def archive(path, parts, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as target:
        for name, content in parts:
            target.writestr(name, content)
    return path


def good_parts(card=CARD, weights=WEIGHTS):
    files = {"card.json": json.dumps(card).encode(), "weights.safetensors": weights}
    return [("manifest.json", json.dumps(describe_files("v1", files))), *files.items()]


def header(tensors, data=b""):
    text = json.dumps(tensors).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_written_is_accepted_and_unpacked(tmp_path):
    (tmp_path / "w").write_bytes(WEIGHTS)
    files = {
        "card.json": json.dumps(CARD).encode(),
        "weights.safetensors": tmp_path / "w",
        "prompt.safetensors": WEIGHTS,
    }
    write_archive(tmp_path / "x.zip", "v1", files)
    assert validate_archive(tmp_path / "x.zip", LIMIT) == VersionCard.from_json(CARD)
    folder = tmp_path / "out"
    folder.mkdir()
    unpacked = extract_archive(tmp_path / "x.zip", folder)
    assert sorted(unpacked) == ["card.json", "prompt.safetensors", "weights.safetensors"]
    verify_folder(folder, parse_manifest(json.dumps(describe_files("v1", files)).encode()))
    assert (folder / "weights.safetensors").read_bytes() == WEIGHTS


REFUSED_WEIGHTS = {
    "empty": b"",
    "short": b"1234567",
    "header beyond the file": struct.pack("<Q", 10**6) + b"{}",
    "huge header": struct.pack("<Q", 2**62) + b"{}",
    "no JSON": struct.pack("<Q", 2) + b"{[",
    "a list": struct.pack("<Q", 2) + b"[]",
    "pickle": b"\x80\x04\x95" + b"x" * 100,
    "unknown number type": header({"a": {"dtype": "OBJ", "shape": [1], "data_offsets": [0, 4]}}, b"1234"),
    "negative size": header({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}, b"1234"),
    "no size": header({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, b"1234"),
    "three offsets": header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 8]}}, b"1234"),
    "shape and bytes differ": header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}, b"1234"),
    "overflow": header({"a": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 4]}}, b"1234"),
    "beyond the end": header({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}, b"1234"),
    "bytes left over": header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, b"12345678"),
    "gap": header({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]}}, b"12345678"),
    "overlap": header({k: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for k in "ab"}, b"1234"),
    "an entry that is no object": header({"a": 1}, b""),
    "truth as a number": header({"a": {"dtype": "I8", "shape": [True], "data_offsets": [0, 1]}}, b"1"),
}  # fmt: skip


@pytest.mark.parametrize("weights", REFUSED_WEIGHTS.values(), ids=REFUSED_WEIGHTS)
def test_weights_that_are_no_safetensors_are_refused(tmp_path, weights):
    with pytest.raises(VersionError, match=r"weights\.safetensors"):
        validate_archive(archive(tmp_path / "x.zip", good_parts(weights=weights)), LIMIT)


REFUSED_CARDS = {
    "no architecture": {"labels": LABELS},
    "no backbone": {"architecture": {"label_count": 2}, "labels": LABELS},
    "backbone of wrong type": {"architecture": ARCHITECTURE | {"backbone": 7}, "labels": LABELS},
    "absurd size": {"architecture": ARCHITECTURE | {"neck_channels": 10**9}, "labels": LABELS},
    "negative size": {"architecture": ARCHITECTURE | {"image_size_px": -1}, "labels": LABELS},
    "no labels": {"architecture": ARCHITECTURE, "labels": []},
    "labels of wrong type": {"architecture": ARCHITECTURE, "labels": [1, 2]},
    "label twice": {"architecture": ARCHITECTURE, "labels": ["a", "a"]},
    "other number of labels": {"architecture": ARCHITECTURE, "labels": ["a"]},
    "a list": ["architecture"],
}


@pytest.mark.parametrize("card", REFUSED_CARDS.values(), ids=REFUSED_CARDS)
def test_cards_that_rebuild_nothing_are_refused(tmp_path, card):
    with pytest.raises(VersionError, match="card"):
        validate_archive(archive(tmp_path / "x.zip", good_parts(card=card)), LIMIT)


def test_archives_that_are_not_ours_are_refused(tmp_path):
    def refused(parts, match, **options):
        with pytest.raises(VersionError, match=match):
            validate_archive(archive(tmp_path / "x.zip", parts, **options), LIMIT)

    parts = good_parts()
    refused(parts[:2], "lacks weights")
    refused(parts[1:], "no manifest")
    refused([*parts, ("extra.py", b"import os")], r"extra\.py")
    refused([*parts, ("../../etc/passwd", b"x")], "must hold")
    refused([*parts, ("weights.pt", b"\x80\x04")], r"weights\.pt")
    refused(parts, "compressed", compression=zipfile.ZIP_DEFLATED)
    refused(
        [*parts[:2], ("weights.safetensors", save({"a": np.zeros((2, 3), np.float32)}))], "its manifest says"
    )
    refused([*parts[:2], ("weights.safetensors", WEIGHTS[:-1] + b"\x01")], "SHA-256")
    with pytest.warns(UserWarning, match="Duplicate name"):
        refused([*parts, parts[1]], "must hold")


@pytest.mark.parametrize(
    "content", [b"", b"PK", b"PK\x05\x06" + b"\0" * 10, b"\x1f\x8b" + b"x" * 99, b"x" * 5000]
)
def test_files_that_are_no_archive_are_refused(tmp_path, content):
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(VersionError, match="no exported model"):
        validate_archive(tmp_path / "x.zip", LIMIT)


def test_a_cut_off_archive_is_refused(tmp_path):
    path = archive(tmp_path / "x.zip", good_parts())
    whole = path.read_bytes()
    for length in range(0, len(whole), 37):
        path.write_bytes(whole[:length])
        with pytest.raises(VersionError):
            validate_archive(path, LIMIT)


def test_flipped_bytes_never_get_through_as_another_error(tmp_path):
    path = archive(tmp_path / "x.zip", good_parts())
    whole = bytearray(path.read_bytes())
    for position in range(0, len(whole), 3):
        changed = whole.copy()
        changed[position] ^= 0xFF
        path.write_bytes(changed)
        try:
            card = validate_archive(path, LIMIT)
        except VersionError:
            continue
        assert card == VersionCard.from_json(CARD), f"byte {position} changed what the file says"


def test_a_file_over_the_limit_is_not_even_opened(tmp_path):
    with pytest.raises(VersionError, match="MAX_MODEL_BYTES"):
        validate_archive(archive(tmp_path / "x.zip", good_parts()), 100)


@pytest.mark.parametrize(
    "manifest",
    [
        None, b"{", b"[]", b'{"format": 2}', b'{"format": 1}', b'{"format": 1, "files": []}',
        b'{"format": 1, "files": {"card.json": {}, "weights.safetensors": {}, "x.py": {}}}',
        b'{"format": 1, "files": {"card.json": {"bytes": true, "sha256": "x"}, "weights.safetensors": {}}}',
        b'{"format": 1, "files": {"card.json": 1, "weights.safetensors": 1}}',
    ],
)  # fmt: skip
def test_a_manifest_is_checked(manifest):
    with pytest.raises(VersionError, match="manifest"):
        parse_manifest(manifest)


def test_a_card_may_say_more():
    card = CARD | {"mean": [0.5], "anything": {"else": None}}
    found = validate_card(json.dumps(card).encode())
    assert (found.facts["mean"], found.facts["anything"]) == ([0.5], {"else": None})


def test_a_version_that_only_answers_what_is_asked_of_images_has_no_labels_and_is_taken():
    asked = {"choices": {"weather": {"names": ["sun", "rain"], "many": False}}}
    architecture = ARCHITECTURE | {"label_count": 0, "asked": asked}
    found = validate_card(json.dumps({"architecture": architecture, "labels": []}).encode())
    assert found.labels == () and found.asked == asked
