"""Every environment variable this program reads, checked once at start.

One field of `Settings` is one variable: its type, default and meaning stand beside it, and `SETTINGS_TABLE`
is made from the fields (a test compares it with the README). An empty variable counts as unset, because
compose files pass empty strings for what the user left out.
"""

# ruff: noqa: RUF009 - `_setting` returns a dataclass field, which the rule cannot see

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from backend.errors import SettingsError

KIB, MIB, GIB = 1024, 1024**2, 1024**3
_SIZE = re.compile(r"([0-9]+)\s*([KMG]?)(?:i?B)?", re.IGNORECASE)
_SIZE_FACTORS = {"": 1, "K": KIB, "M": MIB, "G": GIB}
_DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]{1,3})?")


@dataclass(frozen=True)
class Setting:
    """One line of the settings table, as the README prints it."""

    name: str
    type_name: str
    default: str
    meaning: str
    is_secret: bool


class _Refused(Exception):
    """A parser says what it wants; `Settings.from_env` adds which variable got what."""


def _text(raw: str) -> str:
    return raw


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        if not re.fullmatch(r"[0-9]{1,18}", raw) or not low <= int(raw) <= high:
            raise _Refused(f"a whole number from {low} to {high}")
        return int(raw)

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(raw: str) -> float:
        if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,6})?", raw) or not low <= float(raw) <= high:
            raise _Refused(f"seconds from {low:g} to {high:g}")
        return float(raw)

    return parse


def _size(raw: str) -> int:
    match = _SIZE.fullmatch(raw)
    if match is None or not 0 < int(match[1]) < 2**50:
        raise _Refused("a number of bytes above 0, such as 1048576, 512M or 5G")
    return int(match[1]) * _SIZE_FACTORS[match[2].upper()]


def _flag(raw: str) -> bool:
    if raw.lower() in ("true", "1", "yes", "on"):
        return True
    if raw.lower() in ("false", "0", "no", "off"):
        return False
    raise _Refused("true or false")


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        for choice in choices:
            if raw.lower() == choice.lower():
                return choice
        raise _Refused("one of " + ", ".join(choices))

    return parse


def _device(raw: str) -> str:
    if not _DEVICE.fullmatch(raw.lower()):
        raise _Refused("auto, cpu, cuda, cuda:0 (1, 2, ...) or mps")
    return raw.lower()


def _http_url(raw: str) -> str:
    parts = _split_url(raw)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or "@" in parts.netloc:
        raise _Refused("an address such as http://label-studio:8080")
    return raw.rstrip("/")


def _redis_url(raw: str) -> str:
    if _split_url(raw).scheme not in ("redis", "rediss", "unix"):
        raise _Refused("an address such as redis://redis:6379/0")
    return raw


def _split_url(raw: str) -> Any:
    try:
        parts = urlsplit(raw)
        _ = parts.port
    except ValueError as exc:
        raise _Refused("a well-formed address") from exc
    return parts


def _existing_path(raw: str) -> Path:
    path = Path(raw).expanduser()
    if not path.exists():
        raise _Refused("the path of an existing file or folder")
    return path


def _folder(raw: str) -> Path:
    path = Path(raw).expanduser().absolute()
    if path.exists() and not path.is_dir():
        raise _Refused("the path of a folder")
    return path


def _host_names(raw: str) -> tuple[str, ...]:
    names = tuple(name.strip().lower() for name in raw.split(",") if name.strip())
    for name in names:
        if not re.fullmatch(r"\.?[\w.-]+|\[?[0-9a-f:.]+\]?", name):
            raise _Refused("host names separated by commas; a leading dot includes all hosts below")
    return tuple(name.strip("[]") for name in names)


def _setting(
    name: str,
    parse: Callable[[str], Any],
    default: Any,
    type_name: str,
    meaning: str,
    *,
    shown_default: str | None = None,
    is_secret: bool = False,
) -> Any:
    shown = shown_default if shown_default is not None else ("unset" if default is None else _shown(default))
    metadata = {"parse": parse, "line": Setting(name, type_name, shown, meaning, is_secret)}
    return field(default=default, repr=not is_secret, metadata=metadata)


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


@dataclass(frozen=True)
class Settings:
    """The checked environment. Secrets never show in `repr`."""

    host: str = _setting(
        "HOST", _text, "127.0.0.1", "text", "Address to listen on; `0.0.0.0` for all interfaces."
    )
    port: int = _setting("PORT", _whole(1, 65535), 9090, "number", "Port to listen on.")
    redis_url: str | None = _setting(
        "REDIS_URL",
        _redis_url,
        None,
        "address",
        "Redis that holds the queue. Unset: an own Redis is started, its data under `DATA_DIR/redis`.",
        is_secret=True,
    )
    data_dir: Path = _setting(
        "DATA_DIR",
        _folder,
        Path("data"),
        "folder",
        "Models, caches, checkpoints and the embedded Redis.",
        shown_default="./data",
    )
    store_url: str | None = _setting(
        "STORE_URL",
        _text,
        None,
        "address or folder",
        "Where models and training requests live, for machines that share no disk: any fsspec address, such "
        "as `s3://bucket/path` (needs the extra `s3`). Unset: `DATA_DIR`.",
        is_secret=True,
    )
    label_studio_url: str | None = _setting(
        "LABEL_STUDIO_URL",
        _http_url,
        None,
        "address",
        "Label Studio as this service reaches it. Unset: what Label Studio says of itself on connecting.",
    )
    label_studio_api_key: str | None = _setting(
        "LABEL_STUDIO_API_KEY",
        _text,
        None,
        "text",
        "Personal access token or legacy token, for reading labels and images and for pushing predictions.",
        is_secret=True,
    )
    basic_auth_user: str | None = _setting(
        "BASIC_AUTH_USER", _text, None, "text", "User name that callers must give; needs `BASIC_AUTH_PASS`."
    )
    basic_auth_pass: str | None = _setting(
        "BASIC_AUTH_PASS",
        _text,
        None,
        "text",
        "Password that callers must give; needs `BASIC_AUTH_USER`.",
        is_secret=True,
    )
    log_level: str = _setting(
        "LOG_LEVEL",
        _one_of("DEBUG", "INFO", "WARNING", "ERROR"),
        "INFO",
        "choice",
        "`DEBUG`, `INFO`, `WARNING` or `ERROR`.",
    )
    log_format: str = _setting(
        "LOG_FORMAT", _one_of("text", "json"), "text", "choice", "`text` for people, `json` for collectors."
    )
    web_workers: int = _setting(
        "WEB_WORKERS", _whole(1, 64), 1, "number", "Web processes; each holds its own models."
    )
    web_threads: int = _setting(
        "WEB_THREADS",
        _whole(2, 1024),
        96,
        "number",
        "Threads of each web process; more than calls wait for a prediction at once, so that `/health` has "
        "one.",
    )
    train_workers: int = _setting(
        "TRAIN_WORKERS",
        _whole(0, 64),
        1,
        "number",
        "Training processes on this machine; 0 where others train.",
    )
    predict_workers: int = _setting(
        "PREDICT_WORKERS", _whole(0, 64), 1, "number", "Processes for background predictions on this machine."
    )
    device: str = _setting(
        "DEVICE",
        _device,
        "auto",
        "choice",
        "`auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:N` or `mps`.",
    )
    pretrained_path: Path | None = _setting(
        "PRETRAINED_PATH",
        _existing_path,
        None,
        "path",
        "File or folder of ImageNet weights, used instead of downloading them.",
    )
    predict_deadline_s: float = _setting(
        "PREDICT_DEADLINE_S",
        _seconds(1, 90),
        45.0,
        "seconds",
        "When `/predict` answers at the latest; the rest is predicted in the background.",
    )
    max_body_bytes: int = _setting(
        "MAX_BODY_BYTES", _size, 256 * MIB, "size", "Largest request body.", shown_default="256M"
    )
    max_model_bytes: int = _setting(
        "MAX_MODEL_BYTES",
        _size,
        2 * GIB,
        "size",
        "Largest model file that can be imported.",
        shown_default="2G",
    )
    image_max_bytes: int = _setting(
        "IMAGE_MAX_BYTES", _size, 100 * MIB, "size", "Largest image file.", shown_default="100M"
    )
    image_max_pixels: int = _setting(
        "IMAGE_MAX_PIXELS", _whole(1, 1_000_000_000), 100_000_000, "number", "Most pixels an image may have."
    )
    image_timeout_s: float = _setting(
        "IMAGE_TIMEOUT_S",
        _seconds(0.1, 600),
        30.0,
        "seconds",
        "Time for fetching one image, retries included.",
    )
    image_cache_bytes: int = _setting(
        "IMAGE_CACHE_BYTES",
        _size,
        5 * GIB,
        "size",
        "Disk for fetched images under `DATA_DIR/cache`.",
        shown_default="5G",
    )
    image_hosts: tuple[str, ...] = _setting(
        "IMAGE_HOSTS",
        _host_names,
        (),
        "list",
        "If set, images come only from these hosts and from Label Studio, separated by commas; "
        "`.example.org` includes all hosts below.",
        shown_default="unset",
    )
    allow_private_addresses: bool = _setting(
        "ALLOW_PRIVATE_ADDRESSES",
        _flag,
        True,
        "flag",
        "Whether images may come from loopback and private addresses (Label Studio's own host always may).",
    )
    ca_bundle: Path | None = _setting(
        "REQUESTS_CA_BUNDLE",
        _existing_path,
        None,
        "path",
        "Certificates to trust in place of the built-in ones.",
    )
    label_studio_timeout_s: float = _setting(
        "LABEL_STUDIO_TIMEOUT_S",
        _seconds(1, 3600),
        60.0,
        "seconds",
        "How long Label Studio may be silent in a call.",
    )
    keep_versions: int = _setting(
        "KEEP_VERSIONS",
        _whole(1, 10_000),
        5,
        "number",
        "Newest model versions kept per project, besides pinned ones.",
    )
    version_cache_bytes: int = _setting(
        "VERSION_CACHE_BYTES",
        _size,
        10 * GIB,
        "size",
        "Disk for models fetched from a remote `STORE_URL`.",
        shown_default="10G",
    )
    encoding_cache_bytes: int = _setting(
        "ENCODING_CACHE_BYTES",
        _size,
        256 * MIB,
        "size",
        "Memory of one web process for images prepared for the smart tools.",
        shown_default="256M",
    )
    job_timeout_s: int = _setting(
        "JOB_TIMEOUT_S", _whole(60, 30 * 86_400), 86_400, "seconds", "Longest time one job may run."
    )
    set_model_version: bool = _setting(
        "SET_MODEL_VERSION",
        _flag,
        True,
        "flag",
        "Whether the project's model version is set in Label Studio once every unlabelled task has a "
        "prediction; scores and sampling by uncertainty need it.",
    )

    def __post_init__(self) -> None:
        if (self.basic_auth_user is None) != (self.basic_auth_pass is None):
            missing = "BASIC_AUTH_USER" if self.basic_auth_user is None else "BASIC_AUTH_PASS"
            raise SettingsError(f"{missing} is not set; BASIC_AUTH_USER and BASIC_AUTH_PASS go together")
        if self.basic_auth_user is not None and ":" in self.basic_auth_user:
            raise SettingsError("BASIC_AUTH_USER must not contain a colon; HTTP Basic cannot carry one")

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Settings:
        """Return the settings that stand in an environment. Raises SettingsError naming key and value."""
        values: dict[str, Any] = {}
        for entry in fields(cls):
            line: Setting = entry.metadata["line"]
            raw = environ.get(line.name, "").strip()
            if not raw:
                continue
            try:
                values[entry.name] = entry.metadata["parse"](raw)
            except _Refused as refused:
                shown = "a hidden value" if line.is_secret else repr(raw[:80])
                raise SettingsError(f"{line.name} must be {refused}, got {shown}") from refused
        return cls(**values)

    @property
    def basic_auth(self) -> tuple[str, str] | None:
        """The user and password that callers must give, or None where the service is open."""
        if self.basic_auth_user is None or self.basic_auth_pass is None:
            return None
        return self.basic_auth_user, self.basic_auth_pass

    @property
    def store_location(self) -> str:
        """Address or folder of the store of models and requests."""
        return self.store_url or str(self.data_dir)


SETTINGS_TABLE: tuple[Setting, ...] = tuple(entry.metadata["line"] for entry in fields(Settings))
