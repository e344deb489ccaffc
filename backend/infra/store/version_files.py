"""The files of a model version: names, manifest, what makes them valid, and the one-file form to move them.

    weights.safetensors   the network
    prompt.safetensors    the smart tools, optional
    card.json             everything that rebuilds the predictor
    manifest.json         length and SHA-256 of the others, written last

Nothing here unpickles and nothing imports torch: a safetensors file is a length, a JSON header and numbers.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from backend.core.versions.card import VersionCard
from backend.errors import VersionError

Json = dict[str, Any]
WEIGHTS, PROMPT, CARD, MANIFEST = "weights.safetensors", "prompt.safetensors", "card.json", "manifest.json"
REQUIRED_FILES = frozenset({WEIGHTS, CARD})
KNOWN_FILES = frozenset({WEIGHTS, PROMPT, CARD})
MANIFEST_FORMAT = 1
MAX_JSON_BYTES = 8 * 1024 * 1024
MAX_TENSORS = 100_000
MAX_ARCHITECTURE_NUMBER = 8192
BLOCK_BYTES = 1024 * 1024
TENSOR_BITS = {
    "F64": 64, "F32": 32, "F16": 16, "BF16": 16,
    "I64": 64, "I32": 32, "I16": 16, "I8": 8, "U64": 64, "U32": 32, "U16": 16, "U8": 8, "BOOL": 8,
}  # fmt: skip


def describe_files(version: str, files: Mapping[str, Path | bytes]) -> Json:
    """Return the manifest of a version's files."""
    lines = {}
    for name, content in sorted(files.items()):
        if isinstance(content, bytes):
            lines[name] = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        else:
            with content.open("rb") as stream:
                lines[name] = dict(zip(("bytes", "sha256"), _measure(stream), strict=True))
    return {"format": MANIFEST_FORMAT, "version": version, "files": lines}


def parse_manifest(content: bytes | None) -> dict[str, tuple[int, str]]:
    """Return (length in bytes, SHA-256) by file name. Raises VersionError."""
    if content is None:
        raise VersionError("there is no manifest.json, so the version is incomplete")
    manifest = _parse_json(MANIFEST, content)
    if manifest.get("format") != MANIFEST_FORMAT:
        raise VersionError(
            f"manifest.json has format {manifest.get('format')!r}, this program reads {MANIFEST_FORMAT}"
        )
    lines = manifest.get("files")
    if not isinstance(lines, dict) or not REQUIRED_FILES <= lines.keys() <= KNOWN_FILES:
        wanted = f"{', '.join(sorted(REQUIRED_FILES))} and perhaps {PROMPT}"
        raise VersionError(f"manifest.json must name {wanted}, got {str(lines)[:200]}")
    parsed = {}
    for name, line in lines.items():
        length, digest = (line.get("bytes"), line.get("sha256")) if isinstance(line, dict) else (None, None)
        if (
            not isinstance(length, int)
            or isinstance(length, bool)
            or length < 0
            or not isinstance(digest, str)
        ):
            raise VersionError(f"manifest.json must give bytes and sha256 of {name}, got {str(line)[:200]}")
        parsed[name] = (length, digest)
    return parsed


def verify_folder(folder: Path, manifest: Mapping[str, tuple[int, str]]) -> None:
    """Compare the files of a folder with their manifest. Raises VersionError naming the first difference."""
    for name, wanted in manifest.items():
        try:
            with (folder / name).open("rb") as stream:
                came = _measure(stream)
        except OSError as exc:
            raise VersionError(f"{name} cannot be read: {exc.strerror or exc}") from exc
        _compare(name, wanted, came)


def validate_card(content: bytes) -> VersionCard:
    """Return a card from elsewhere if it describes what a network of sane size finds. Raises VersionError.

    That is labels of objects, or what is asked of images. Whether that network can be built, and fits the
    weights, is known when it is loaded.
    """
    card = _parse_json(CARD, content)
    labels, architecture = card.get("labels"), card.get("architecture")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise VersionError(f"card.json must list the labels as texts, got {str(labels)[:80]!r}")
    if len(set(labels)) != len(labels):
        raise VersionError("card.json lists a label twice")
    if not isinstance(architecture, dict):
        raise VersionError(f"card.json must describe the architecture, got {str(architecture)[:80]!r}")
    if not labels and not architecture.get("asked"):
        raise VersionError("card.json has neither labels nor anything that is asked of images")
    backbone = architecture.get("backbone")
    if not isinstance(backbone, str) or not 0 < len(backbone) <= 200:
        raise VersionError(f"card.json must name the backbone, got {str(backbone)[:80]!r}")
    if architecture.get("label_count") != len(labels):
        count = str(architecture.get("label_count"))[:80]
        raise VersionError(f"card.json lists {len(labels)} labels, its architecture is made for {count}")
    for name, value in architecture.items():
        if isinstance(value, int | float) and not 0 <= value <= MAX_ARCHITECTURE_NUMBER:
            raise VersionError(f"card.json has {name} {value}, at most {MAX_ARCHITECTURE_NUMBER} is accepted")
    return VersionCard.from_json(card)


def validate_safetensors(name: str, stream: IO[bytes], length_bytes: int) -> None:
    """Check the header of a safetensors file against the file's length. Raises VersionError.

    Source: the format's own description, github.com/huggingface/safetensors: 8 bytes little-endian header
    length, JSON header {tensor: {dtype, shape, data_offsets}}, then the numbers without gaps.
    """
    start = stream.read(8)
    header_bytes = int.from_bytes(start, "little")
    if len(start) < 8 or not 2 <= header_bytes <= min(MAX_JSON_BYTES, length_bytes - 8):
        raise VersionError(f"{name} is no safetensors file: its header length is wrong")
    header = _parse_json(name, stream.read(header_bytes))
    header.pop("__metadata__", None)
    if len(header) > MAX_TENSORS:
        raise VersionError(f"{name} lists {len(header)} tensors, at most {MAX_TENSORS} are accepted")
    data_bytes = length_bytes - 8 - header_bytes
    spans = sorted(_tensor_span(name, tensor, line) for tensor, line in header.items())
    end = 0
    for start_byte, end_byte in spans:
        if start_byte != end:
            raise VersionError(f"{name} is damaged: its tensors overlap or leave gaps at byte {end}")
        end = end_byte
    if end != data_bytes:
        raise VersionError(
            f"{name} is cut off or too long: {end} bytes of numbers announced, {data_bytes} there"
        )


def write_archive(target: Path, version: str, files: Mapping[str, Path | bytes]) -> None:
    """Write a version as one uncompressed ZIP file with its manifest inside."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        archive.writestr(MANIFEST, json.dumps(describe_files(version, files), indent=1))
        for name, content in sorted(files.items()):
            if isinstance(content, bytes):
                archive.writestr(name, content)
            else:
                archive.write(content, name)


def validate_archive(source: Path, max_bytes: int) -> VersionCard:
    """Check a file made by `write_archive` from end to end, without unpacking it; return its card.

    Raises VersionError saying what is wrong: not such a file, too large, unknown or missing parts, damaged.
    """
    size_bytes = source.stat().st_size
    if size_bytes > max_bytes:
        raise VersionError(
            f"the file has {size_bytes} bytes, at most {max_bytes} are accepted (MAX_MODEL_BYTES)"
        )
    try:
        with zipfile.ZipFile(source) as archive:
            return _validate_open_archive(archive, size_bytes)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError, OSError) as exc:
        raise VersionError(f"the file is no exported model version: {exc}") from exc


def extract_archive(source: Path, folder: Path) -> dict[str, Path]:
    """Unpack a file that `validate_archive` accepted; return the paths by name, manifest left out."""
    files = {}
    with zipfile.ZipFile(source) as archive:
        for name in sorted(KNOWN_FILES & set(archive.namelist())):
            files[name] = folder / name
            with archive.open(name) as packed, files[name].open("wb") as target:
                shutil.copyfileobj(packed, target, BLOCK_BYTES)
    return files


def _validate_open_archive(archive: zipfile.ZipFile, size_bytes: int) -> VersionCard:
    entries = {entry.filename: entry for entry in archive.infolist()}
    if len(entries) != len(archive.infolist()) or not entries.keys() <= KNOWN_FILES | {MANIFEST}:
        came = ", ".join(sorted(entries))[:200]
        raise VersionError(f"the file must hold {', '.join(sorted(KNOWN_FILES))} and {MANIFEST}, got {came}")
    missing = REQUIRED_FILES - entries.keys()
    if missing:
        raise VersionError(f"the file lacks {', '.join(sorted(missing))}")
    # Uncompressed entries cannot unfold into more than the file itself, which rules out ZIP bombs.
    if any(entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1 for entry in entries.values()):
        raise VersionError(
            "the file is compressed or encrypted; export writes it plain, so it was changed since"
        )
    if sum(entry.file_size for entry in entries.values()) > size_bytes:
        raise VersionError("the file announces more content than it has")
    for name in (MANIFEST, CARD):
        if name in entries and entries[name].file_size > MAX_JSON_BYTES:
            raise VersionError(
                f"{name} has {entries[name].file_size} bytes, at most {MAX_JSON_BYTES} are accepted"
            )
    manifest = parse_manifest(archive.read(MANIFEST) if MANIFEST in entries else None)
    if manifest.keys() | {MANIFEST} != entries.keys():
        raise VersionError("manifest.json names other files than the archive holds")
    card = validate_card(archive.read(CARD))
    for name, wanted in manifest.items():
        if name.endswith(".safetensors"):
            with archive.open(name) as stream:
                validate_safetensors(name, stream, entries[name].file_size)
        with archive.open(name) as stream:
            _compare(name, wanted, _measure(stream))
    return card


def _tensor_span(name: str, tensor: str, line: Any) -> tuple[int, int]:
    wrong = VersionError(f"{name} is damaged: the entry of tensor {tensor[:80]!r} makes no sense")
    if not isinstance(line, dict):
        raise wrong
    bits = TENSOR_BITS.get(str(line.get("dtype")))
    shape, span = _whole_numbers(line.get("shape")), _whole_numbers(line.get("data_offsets"))
    if bits is None or shape is None or span is None or len(shape) > 16 or len(span) != 2:
        raise wrong
    if (span[1] - span[0]) * 8 != math.prod(shape) * bits:
        raise wrong
    return span[0], span[1]


def _whole_numbers(value: Any) -> list[int] | None:
    if isinstance(value, list) and all(type(item) is int and 0 <= item < 2**53 for item in value):
        return value
    return None


def _parse_json(name: str, content: bytes) -> Json:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as exc:
        raise VersionError(f"{name} is damaged: {str(exc)[:200]}") from exc
    if not isinstance(value, dict):
        raise VersionError(f"{name} must hold a JSON object, got {type(value).__name__}")
    return value


def _measure(stream: IO[bytes]) -> tuple[int, str]:
    digest, length = hashlib.sha256(), 0
    for block in iter(lambda: stream.read(BLOCK_BYTES), b""):
        digest.update(block)
        length += len(block)
    return length, digest.hexdigest()


def _compare(name: str, wanted: tuple[int, str], came: tuple[int, str]) -> None:
    if wanted[0] != came[0]:
        raise VersionError(f"{name} has {came[0]} bytes, its manifest says {wanted[0]}")
    if wanted[1] != came[1]:
        raise VersionError(f"{name} is damaged: its SHA-256 differs from the manifest")
