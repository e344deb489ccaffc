"""How the text of an environment variable becomes a value; each parser says what it wants when refusing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

_SIZE = re.compile(r"([0-9]+)\s*([KMG]?)(?:i?B)?", re.IGNORECASE)
_SIZE_FACTORS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_HUB_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,3})?")


class ValueRefused(Exception):
    """A parser says what it wants; `Settings.from_env` adds which variable got what."""


def parse_text(raw: str) -> str:
    """Return the text as it is."""
    return raw


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Return a parser of whole numbers within a range."""

    def parse(raw: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", raw) or not low <= int(raw) <= high:
            raise ValueRefused(f"a whole number from {low} to {high}")
        return int(raw)

    return parse


def seconds(low: float, high: float) -> Callable[[str], float]:
    """Return a parser of seconds within a range."""

    def parse(raw: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", raw) or not low <= float(raw) <= high:
            raise ValueRefused(f"seconds from {low:g} to {high:g}")
        return float(raw)

    return parse


def named_seconds(*names: str) -> Callable[[str], tuple[tuple[str, float], ...]]:
    """Return a parser of seconds by name, `name=seconds` separated by commas; each name at most once."""
    parse_seconds = seconds(0, 3600)

    def parse(raw: str) -> tuple[tuple[str, float], ...]:
        found: dict[str, float] = {}
        for part in raw.split(","):
            name, _, value = (text.strip() for text in part.partition("="))
            try:
                if name not in names or name in found:
                    raise ValueRefused("")
                found[name] = parse_seconds(value)
            except ValueRefused as exc:
                known = ", ".join(names)
                wanted = f"name=seconds separated by commas, from 0 to 3600; names: {known}"
                raise ValueRefused(wanted) from exc
        return tuple(found.items())

    return parse


def parse_size(raw: str) -> int:
    """Return a number of bytes."""
    match = _SIZE.fullmatch(raw)
    if match is None or not 0 < int(match[1]) < 2**50:
        raise ValueRefused("a number of bytes above 0, such as 1048576, 512M or 5G")
    return int(match[1]) * _SIZE_FACTORS[match[2].upper()]


def parse_flag(raw: str) -> bool:
    """Return a truth value."""
    if raw.lower() in ("true", "1", "yes", "on"):
        return True
    if raw.lower() in ("false", "0", "no", "off"):
        return False
    raise ValueRefused("true or false")


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a parser that takes one of the choices, in any case."""

    def parse(raw: str) -> str:
        for choice in choices:
            if raw.lower() == choice.lower():
                return choice
        raise ValueRefused("one of " + ", ".join(choices))

    return parse


def parse_device(raw: str) -> str:
    """Return a device as torch names it, or auto."""
    if not _DEVICE.fullmatch(raw.lower()):
        raise ValueRefused("auto, cpu, cuda, cuda:0 (1, 2, ...) or mps")
    return raw.lower()


def parse_http_url(raw: str) -> str:
    """Return an http(s) address without trailing slash."""
    parts = _split_url(raw)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or "@" in parts.netloc:
        raise ValueRefused("an address such as http://label-studio:8080")
    return raw.rstrip("/")


def parse_redis_url(raw: str) -> str:
    """Return an address that redis-py takes."""
    if _split_url(raw).scheme not in ("redis", "rediss", "unix"):
        raise ValueRefused("an address such as redis://redis:6379/0")
    return raw


def _split_url(raw: str) -> SplitResult:
    try:
        parts = urlsplit(raw)
        _ = parts.port
    except ValueError as exc:
        raise ValueRefused("a well-formed address") from exc
    return parts


def parse_existing_path(raw: str) -> Path:
    """Return the path of something that exists."""
    path = Path(raw).expanduser()
    if not path.exists():
        raise ValueRefused("the path of an existing file or folder")
    return path


def parse_network_name(raw: str) -> Path | str:
    """Return a hub id, `owner/name`, as text, and the path of a folder as a path; a folder that is here wins.

    Nothing is refused: who loads the network says what is wrong with its name, and serves without it.
    """
    path = Path(raw).expanduser()
    return raw if _HUB_ID.fullmatch(raw) and not path.is_dir() else path


def parse_folder(raw: str) -> Path:
    """Return the absolute path of a folder, which need not exist yet."""
    path = Path(raw).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise ValueRefused("the path of a folder")
    return path


def parse_host_names(raw: str) -> tuple[str, ...]:
    """Return lower-case host names from a list separated by commas."""
    names = tuple(name.strip().lower() for name in raw.split(",") if name.strip())
    for name in names:
        if not re.fullmatch(r"\.?[\w.-]+|\[?[0-9a-f:.]+\]?", name):
            raise ValueRefused("host names separated by commas; a leading dot includes all hosts below")
    return tuple(name.strip("[]") for name in names)
