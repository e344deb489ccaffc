"""Every environment variable this program reads, checked once at start.

One field of `Settings` is one variable: its type, default and meaning stand beside it, and `SETTINGS_TABLE`
is made from the fields (a test compares it with the README). An empty variable counts as unset, because
compose files pass empty strings for what the user left out.
"""

# ruff: noqa: RUF009 - `_setting` returns a dataclass field, which the rule cannot see

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from backend.errors import SettingsError
from backend.setting_parsers import (
    ValueRefused,
    named_seconds,
    one_of,
    parse_device,
    parse_existing_path,
    parse_flag,
    parse_folder,
    parse_host_names,
    parse_http_url,
    parse_network_name,
    parse_redis_url,
    parse_size,
    parse_text,
    seconds,
    whole_number,
)

MIB, GIB = 1024**2, 1024**3


@dataclass(frozen=True)
class Setting:
    """One line of the settings table, as the README prints it; older_name: is read where name is not set."""

    name: str
    type_name: str
    default: str
    meaning: str
    is_secret: bool
    older_name: str | None = None


def _setting(
    name: str,
    parse: Callable[[str], Any],
    default: Any,
    type_name: str,
    meaning: str,
    *,
    shown_default: str | None = None,
    is_secret: bool = False,
    older_name: str | None = None,
) -> Any:
    shown = shown_default if shown_default is not None else ("unset" if default is None else _shown(default))
    metadata = {"parse": parse, "line": Setting(name, type_name, shown, meaning, is_secret, older_name)}
    return field(default=default, repr=not is_secret, metadata=metadata)


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    return f"{default:g}" if isinstance(default, float) else str(default)


@dataclass(frozen=True)
class Settings:
    """The checked environment. Secrets never show in `repr`."""

    host: str = _setting(
        "HOST", parse_text, "127.0.0.1", "text", "Address to listen on; `0.0.0.0` for all interfaces."
    )
    port: int = _setting("PORT", whole_number(1, 65535), 9090, "number", "Port to listen on.")
    redis_url: str | None = _setting(
        "REDIS_URL",
        parse_redis_url,
        None,
        "address",
        "Redis that holds the queue. Unset: an own Redis is started, its data under `DATA_DIR/redis`.",
        is_secret=True,
    )
    data_dir: Path = _setting(
        "DATA_DIR",
        parse_folder,
        Path("data"),
        "folder",
        "Models, caches, checkpoints and the embedded Redis.",
        shown_default="./data",
    )
    store_url: str | None = _setting(
        "STORE_URL",
        parse_text,
        None,
        "address or folder",
        "Where models and training requests live, for machines that share no disk: any fsspec address, such "
        "as `s3://bucket/path` (needs the extra `s3`). Unset: `DATA_DIR`.",
        is_secret=True,
    )
    label_studio_url: str | None = _setting(
        "LABEL_STUDIO_URL",
        parse_http_url,
        None,
        "address",
        "Label Studio as this service reaches it. Unset: what Label Studio says of itself on connecting.",
    )
    label_studio_api_key: str | None = _setting(
        "LABEL_STUDIO_API_KEY",
        parse_text,
        None,
        "text",
        "Personal access token or legacy token, for reading labels and images and for pushing predictions.",
        is_secret=True,
    )
    basic_auth_user: str | None = _setting(
        "BASIC_AUTH_USER",
        parse_text,
        None,
        "text",
        "User name that callers must give; needs `BASIC_AUTH_PASS`.",
    )
    basic_auth_pass: str | None = _setting(
        "BASIC_AUTH_PASS",
        parse_text,
        None,
        "text",
        "Password that callers must give; needs `BASIC_AUTH_USER`.",
        is_secret=True,
    )
    log_level: str = _setting(
        "LOG_LEVEL",
        one_of("DEBUG", "INFO", "WARNING", "ERROR"),
        "INFO",
        "choice",
        "`DEBUG`, `INFO`, `WARNING` or `ERROR`.",
    )
    log_format: str = _setting(
        "LOG_FORMAT", one_of("text", "json"), "text", "choice", "`text` for people, `json` for collectors."
    )
    web_workers: int = _setting(
        "WEB_WORKERS", whole_number(1, 64), 1, "number", "Web processes; each holds its own models."
    )
    web_threads: int = _setting(
        "WEB_THREADS",
        whole_number(2, 1024),
        96,
        "number",
        "Threads of each web process; more than calls wait for a prediction at once, so that `/health` has "
        "one.",
    )
    train_workers: int = _setting(
        "TRAIN_WORKERS",
        whole_number(0, 64),
        1,
        "number",
        "Training processes on this machine; 0 where others train.",
    )
    train_processes: int = _setting(
        "TRAIN_PROCESSES",
        whole_number(0, 64),
        0,
        "number",
        "Processes that share one training (torchrun); 0 for one per GPU where `DEVICE` leaves the choice.",
    )
    predict_workers: int = _setting(
        "PREDICT_WORKERS",
        whole_number(0, 64),
        1,
        "number",
        "Processes for background predictions on this machine.",
    )
    device: str = _setting(
        "DEVICE",
        parse_device,
        "auto",
        "choice",
        "`auto` (a GPU if there is one), `cpu`, `cuda`, `cuda:N` or `mps`.",
    )
    pretrained_path: Path | None = _setting(
        "PRETRAINED_PATH",
        parse_existing_path,
        None,
        "path",
        "File or folder of ImageNet weights, used instead of downloading them.",
    )
    sam_model: Path | str | None = _setting(
        "SAM_MODEL",
        parse_network_name,
        None,
        "hub id or folder",
        "A SAM or SAM 2 network that answers the smart tools in place of our own: a hub id such as "
        "`facebook/sam-vit-base`, or a folder with `config.json` and `model.safetensors` (needs the extra "
        "`sam`). `SAM_MODEL_DIR` is its older name.",
        older_name="SAM_MODEL_DIR",
    )
    ocr: str = _setting(
        "OCR",
        one_of("auto", "off", "rapidocr", "tesseract"),
        "auto",
        "choice",
        "What reads the text of regions: `rapidocr` (needs the extra `ocr`), `tesseract` (the installed "
        "program), `auto` for the first of these that is there, or `off`.",
    )
    zero_shot_model: Path | str | None = _setting(
        "ZERO_SHOT_MODEL",
        parse_network_name,
        None,
        "hub id or folder",
        "A detector that predicts projects without a trained version, by the names of their labels: a hub id "
        "such as `IDEA-Research/grounding-dino-tiny`, or a folder with its files (needs the extra "
        "`zero-shot`).",
    )
    predict_by_example: bool = _setting(
        "PREDICT_BY_EXAMPLE",
        parse_flag,
        True,
        "flag",
        "Whether a project without a trained version is predicted by its first labelled objects.",
    )
    annotation_seconds: tuple[tuple[str, float], ...] = _setting(
        "ANNOTATION_SECONDS",
        named_seconds("box", "mask", "click", "adjust", "delete", "relabel", "look"),
        (),
        "names",
        "Seconds of annotators' acts in the ledger of what predictions save, such as `box=7,mask=60`: `box` "
        "and `mask` by hand, a `click`, to `adjust`, `delete`, `relabel`, `look` at a region.",
        shown_default="`box=7,mask=79,click=3,adjust=4,delete=1.5,relabel=2,look=0.5`",
    )
    predict_deadline_s: float = _setting(
        "PREDICT_DEADLINE_S",
        seconds(1, 90),
        45.0,
        "seconds",
        "When `/predict` answers at the latest; the rest is predicted in the background.",
    )
    max_body_bytes: int = _setting(
        "MAX_BODY_BYTES", parse_size, 256 * MIB, "size", "Largest request body.", shown_default="256M"
    )
    max_model_bytes: int = _setting(
        "MAX_MODEL_BYTES",
        parse_size,
        2 * GIB,
        "size",
        "Largest model file that can be imported.",
        shown_default="2G",
    )
    image_max_bytes: int = _setting(
        "IMAGE_MAX_BYTES", parse_size, 400 * MIB, "size", "Largest image file.", shown_default="400M"
    )
    image_max_pixels: int = _setting(
        "IMAGE_MAX_PIXELS",
        whole_number(1, 1_000_000_000),
        250_000_000,
        "number",
        "Most pixels an image may have.",
    )
    image_timeout_s: float = _setting(
        "IMAGE_TIMEOUT_S",
        seconds(0.1, 600),
        30.0,
        "seconds",
        "Time for fetching one image, retries included.",
    )
    image_cache_bytes: int = _setting(
        "IMAGE_CACHE_BYTES",
        parse_size,
        5 * GIB,
        "size",
        "Disk for fetched images under `DATA_DIR/cache`.",
        shown_default="5G",
    )
    decoded_cache_bytes: int = _setting(
        "DECODED_CACHE_BYTES",
        parse_size,
        4 * GIB,
        "size",
        "Disk for the pixels of large images, decoded once for all processes, under `DATA_DIR/cache`.",
        shown_default="4G",
    )
    image_hosts: tuple[str, ...] = _setting(
        "IMAGE_HOSTS",
        parse_host_names,
        (),
        "list",
        "If set, images come only from these hosts and from Label Studio, separated by commas; "
        "`.example.org` includes all hosts below.",
        shown_default="unset",
    )
    allow_private_addresses: bool = _setting(
        "ALLOW_PRIVATE_ADDRESSES",
        parse_flag,
        True,
        "flag",
        "Whether images may come from loopback and private addresses (Label Studio's own host always may).",
    )
    ca_bundle: Path | None = _setting(
        "REQUESTS_CA_BUNDLE",
        parse_existing_path,
        None,
        "path",
        "Certificates to trust in place of the built-in ones.",
    )
    label_studio_timeout_s: float = _setting(
        "LABEL_STUDIO_TIMEOUT_S",
        seconds(1, 3600),
        60.0,
        "seconds",
        "How long Label Studio may be silent in a call.",
    )
    keep_versions: int = _setting(
        "KEEP_VERSIONS",
        whole_number(1, 10_000),
        5,
        "number",
        "Newest model versions kept per project, besides pinned ones.",
    )
    version_cache_bytes: int = _setting(
        "VERSION_CACHE_BYTES",
        parse_size,
        10 * GIB,
        "size",
        "Disk for models fetched from a remote `STORE_URL`.",
        shown_default="10G",
    )
    encoding_cache_bytes: int = _setting(
        "ENCODING_CACHE_BYTES",
        parse_size,
        512 * MIB,
        "size",
        "Images prepared for the smart tools on this machine: half in files under `DATA_DIR/cache` that all "
        "web processes share, half in their memory together.",
        shown_default="512M",
    )
    job_timeout_s: int = _setting(
        "JOB_TIMEOUT_S", whole_number(60, 30 * 86_400), 86_400, "seconds", "Longest time one job may run."
    )
    set_model_version: bool = _setting(
        "SET_MODEL_VERSION",
        parse_flag,
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
            given = {name: environ.get(name, "").strip() for name in (line.name, line.older_name) if name}
            name, raw = next(((name, raw) for name, raw in given.items() if raw), (line.name, ""))
            if not raw:
                continue
            try:
                values[entry.name] = entry.metadata["parse"](raw)
            except ValueRefused as refused:
                shown = "a hidden value" if line.is_secret else repr(raw[:80])
                raise SettingsError(f"{name} must be {refused}, got {shown}") from refused
        return cls(**values)

    @property
    def basic_auth(self) -> tuple[str, str] | None:
        """The user and password that callers must give, or None where the service is open."""
        if self.basic_auth_user is None or self.basic_auth_pass is None:
            return None
        return self.basic_auth_user, self.basic_auth_pass

    def absolute_paths(self) -> dict[str, str]:
        """Return the variables that name files or folders, for processes that run in another folder."""
        values = {entry.metadata["line"].name: getattr(self, entry.name) for entry in fields(self)}
        found = {name: str(value.absolute()) for name, value in values.items() if isinstance(value, Path)}
        if self.store_url is not None and "://" not in self.store_url:
            found["STORE_URL"] = str(Path(self.store_url).absolute())
        return found

    @property
    def store_location(self) -> str:
        """Address or folder of the store of models and requests."""
        return self.store_url or str(self.data_dir)


SETTINGS_TABLE: tuple[Setting, ...] = tuple(entry.metadata["line"] for entry in fields(Settings))
