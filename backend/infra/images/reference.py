"""Where the image is that a reference in a task means.

Source: Label Studio 1.23.2, which sends task data as stored, nothing resolved or signed.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import TypeGuard
from urllib.parse import quote, unquote_to_bytes, urljoin, urlsplit

from backend.errors import AddressRefused, FetchError, ImageDecodeError, ImageNotFound, ImageTooLarge
from backend.service.ports import ImageAccess

CLOUD_SCHEMES = frozenset({"s3", "gs", "azure-blob", "azure-spi"})
# A Label Studio below a path (`https://host/ls`) may write that path in front, or leave it out.
_LABEL_STUDIO_PATH = re.compile(
    r"/(?:data/upload|data/local-files|storage-data|(?:tasks|projects)/\d+/(?:presign|resolve))/"
)
# How storages sign an address: Amazon, Google, both in their older way, Azure.
_SIGNATURES = frozenset({"x-amz-signature", "x-goog-signature", "signature", "sig"})
_DATA_URI = re.compile(r"data:[^,;]{0,200}((?:;[^,;]{0,100}){0,5}),", re.DOTALL)
_RESERVED = ":/?#[]@!$&'()*+,;=~"  # may stand in an address as they are
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def is_text(reference: object) -> TypeGuard[str]:
    """Tell whether a value is text that an address can hold: half a surrogate pair is none, JSON or not."""
    if not isinstance(reference, str):
        return False
    try:
        reference.encode()
    except UnicodeEncodeError:
        return False
    return True


def resolve_reference(reference: str, access: ImageAccess) -> str:
    """Return the http(s) address of what stands in a task. Raises FetchError."""
    scheme = reference.split(":", 1)[0].lower() if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", reference) else ""
    if scheme in ("http", "https"):
        return checked_url(_quoted(reference))
    if scheme in CLOUD_SCHEMES:
        if not access.hostname or access.task_id is None:
            missing = "whose address is not known" if not access.hostname else "which is asked by a task's id"
            move = "set LABEL_STUDIO_URL" if not access.hostname else "give the task its id"
            raise FetchError(f"a {scheme}:// image comes through Label Studio, {missing}; {move}")
        code = base64.urlsafe_b64encode(reference.encode()).decode()
        return f"{access.hostname.rstrip('/')}/tasks/{access.task_id}/resolve/?fileuri={code}"
    if scheme:
        raise AddressRefused(f"images are never read from {scheme}: addresses, got {reference[:80]!r}")
    if reference.startswith("//"):
        raise AddressRefused(f"an address needs http: or https: in front, got {reference[:80]!r}")
    if not access.hostname:
        raise FetchError(
            f"{reference[:80]!r} lies in Label Studio, whose address is not known; set LABEL_STUDIO_URL"
        )
    root = access.hostname.rstrip("/")
    path, mark, query = f"/{reference.lstrip('/')}".partition("?")
    path = path.removeprefix(urlsplit(root).path) if is_below(urljoin(root, path), root) else path
    # A `#` or `?` in an upload's name is part of the name, not the start of a fragment.
    if "/data/upload/" in path:
        return f"{root}{_quoted(path + mark + query, '/')}"
    return f"{root}{_quoted(path, '/')}{mark}{_quoted(query, '/=&+')}"


def decode_data_uri(reference: str, max_bytes: int) -> bytes:
    """Return the bytes inside a data: URI."""
    match = _DATA_URI.match(reference)
    if match is None:
        raise ImageDecodeError("the data: URI of the task is malformed")
    if len(reference) - match.end() > 4 * max_bytes:
        raise ImageTooLarge(
            f"the data: URI is too long; at most {max_bytes} bytes are accepted (IMAGE_MAX_BYTES)"
        )
    payload = unquote_to_bytes(reference[match.end() :])
    if ";base64" in match[1].lower():
        payload = b"".join(payload.split())
        try:
            payload = base64.b64decode(payload + b"=" * (-len(payload) % 4))
        except (ValueError, binascii.Error) as exc:
            raise ImageDecodeError("the data: URI of the task is not base64") from exc
    if len(payload) > max_bytes:
        raise ImageTooLarge(
            f"the data: URI has {len(payload)} bytes, at most {max_bytes} are accepted (IMAGE_MAX_BYTES)"
        )
    return payload


def address_on_label_studio(url: str, access: ImageAccess) -> str | None:
    """Return the same file's address as this service reaches Label Studio, if that is another one.

    The host and the path that Label Studio lies below may be those that browsers use.
    """
    parts = urlsplit(url)
    own = _LABEL_STUDIO_PATH.search(parts.path)
    if not access.hostname or own is None:
        return None
    query = f"?{parts.query}" if parts.query else ""
    address = f"{access.hostname.rstrip('/')}{parts.path[own.start() :]}{query}"
    return None if address == url else address


def is_below(url: str, root: str) -> bool:
    """Tell whether an address is one of what lies at `root`: its origin, and below its path."""
    above, path = urlsplit(root).path.rstrip("/"), urlsplit(url).path
    leaves = ".." in path.replace("%2E", ".").replace("%2e", ".").split("/")
    return origin(url) == origin(root) and path.startswith(f"{above}/") and not leaves


def checked_url(url: str) -> str:
    """Return an http(s) address that names a host, as it is. Raises AddressRefused, ImageNotFound."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as exc:
        raise ImageNotFound(f"{url[:80]!r} is no address of an image") from exc
    if parts.scheme not in ("http", "https"):
        raise AddressRefused(f"images are never read from {parts.scheme}: addresses")
    if not parts.hostname:
        raise ImageNotFound(f"{url[:80]!r} names no host")
    return url


def redirected_to(location: str, url: str) -> str:
    """Return the address that a `Location` header of the answer from `url` means.

    location: as the HTTP client gives it, a character for each byte. Bytes beyond ASCII are not allowed
    there, but servers write UTF-8 names as they are, and browsers ask for these bytes.
    Raises AddressRefused, ImageNotFound.
    """
    return checked_url(urljoin(url, quote(location.encode("latin-1"), safe=f"%{_RESERVED}")))


def is_signed(url: str) -> bool:
    """Tell whether an address carries a storage's signature, which is good for a time only."""
    return any(part.partition("=")[0].lower() in _SIGNATURES for part in urlsplit(url).query.split("&"))


def origin(url: str) -> tuple[str, str, int]:
    """Return scheme, host and port: credentials belong to these three."""
    parts = urlsplit(url)
    return (
        parts.scheme,
        (parts.hostname or "").lower(),
        parts.port or (443 if parts.scheme == "https" else 80),
    )


def shown(url: str) -> str:
    """Return an address fit for messages: no credentials, no query (presigned ones are secrets)."""
    parts = urlsplit(url)
    return (
        f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path[:200]}"
    )


def _quoted(text: str, safe: str = _RESERVED) -> str:
    """Percent-encode what an address may not hold; what is encoded already stays."""
    return quote(_BAD_PERCENT.sub("%25", text), safe="%" + safe)
