"""Image files over HTTP, within limits, with the right credentials.

Label Studio's token goes to Label Studio's own address and to no other, the project's login to the task's own
host and to no other; both are decided anew at every redirect.
"""

from __future__ import annotations

import base64
import random
import threading
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from cachetools import LRUCache

from backend.errors import (
    AddressRefused,
    FetchError,
    HostAway,
    ImageDecodeError,
    ImageNotFound,
    ImageTooLarge,
    LabelStudioError,
)
from backend.infra.images.cached_picture import CachedPicture, Validators
from backend.infra.images.reference import (
    address_on_label_studio,
    decode_data_uri,
    is_below,
    is_signed,
    is_text,
    origin,
    redirected_to,
    resolve_reference,
    shown,
)
from backend.infra.labelstudio.token import LabelStudioToken
from backend.infra.network.addresses import AddressRules, GuardedAdapter
from backend.service.ports import ImageAccess

MAX_REDIRECTS = 5
CONNECT_TIMEOUT_S = 5.0
RETRY_WAITS_S = (0.3, 0.8, 2.0)
PASSING_STATUS = frozenset({408, 425, 429, 500, 502, 503, 504})
BLOCK_BYTES = 64 * 1024
MAX_TOKENS = 64
MAX_HOSTS = 64


class _Passing(Exception):
    """It did not work this time; `error` says how, should it not work later either."""

    def __init__(self, error: FetchError) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True)
class _Hop:
    """One address on the way to an image, and the origin the way began at.

    known: what the host said of the file that is here already.
    """

    url: str
    first_origin: tuple[str, str, int]
    known: Validators


class Downloader:
    """Fetches files; threads may share one. `timeout_s` covers one file with all redirects and retries."""

    def __init__(
        self, rules: AddressRules, *, max_bytes: int, timeout_s: float, ca_bundle: Path | None = None
    ) -> None:
        self._max_bytes = max_bytes
        self._timeout_s = timeout_s
        self._local = threading.local()
        self._session = self._make_session(rules, ca_bundle)
        # Asked once for each host: requests would walk the whole environment again for each image.
        self._environment_of = lru_cache(MAX_HOSTS)(self._read_environment)
        self._tokens: LRUCache[tuple[str, str], LabelStudioToken] = LRUCache(MAX_TOKENS)
        self._tokens_lock = threading.Lock()

    def fetch(
        self,
        reference: str,
        access: ImageAccess,
        *,
        known: Validators = Validators(),  # noqa: B008 (frozen)
        timeout_s: float | None = None,
    ) -> CachedPicture | None:
        """Return the file; None if the host says that what is known of it is still so. Raises FetchError."""
        if not is_text(reference) or not reference.strip():
            raise ImageNotFound(f"the task names no image where one is expected, got {ascii(reference)[:80]}")
        if reference.startswith("data:"):
            return CachedPicture.of(decode_data_uri(reference, self._max_bytes), Validators())
        url = resolve_reference(reference.strip(), access)
        deadline = time.monotonic() + min(self._timeout_s, timeout_s or self._timeout_s)
        try:
            return self._fetch_patiently(_Hop(url, origin(url), known), access, deadline)
        except (ImageTooLarge, AddressRefused):
            raise
        except FetchError:
            own = address_on_label_studio(url, access)
            if own is None:
                raise
            # Label Studio may write its files with an address that only browsers reach.
            return self._fetch_patiently(_Hop(own, origin(own), known), access, deadline)

    def _fetch_patiently(self, hop: _Hop, access: ImageAccess, deadline: float) -> CachedPicture | None:
        for wait_s in (*RETRY_WAITS_S, None):
            try:
                return self._follow(hop, access, deadline)
            except _Passing as passing:
                if wait_s is None or time.monotonic() + wait_s > deadline:
                    raise passing.error from passing
                time.sleep(wait_s * random.uniform(0.7, 1.3))
        raise AssertionError("the last try returns or raises")

    def _follow(self, hop: _Hop, access: ImageAccess, deadline: float) -> CachedPicture | None:
        first_url = hop.url
        for _ in range(MAX_REDIRECTS + 1):
            response = self._ask(hop, access, deadline)
            with response:
                if response.status_code == 304 and hop.known.request_headers:
                    return None
                if not response.is_redirect:
                    _check_status(response, hop.url)
                    said = response.headers
                    validators = Validators(said.get("ETag"), said.get("Last-Modified"))
                    return CachedPicture.of(self._read(response, hop.url, deadline), validators)
                target = redirected_to(response.headers["Location"], hop.url)
            if urlsplit(target).path.startswith("/user/login"):
                raise FetchError(f"{shown(hop.url)} asks to log in; is LABEL_STUDIO_API_KEY set and valid?")
            hop = replace(hop, url=target)
        raise FetchError(f"{shown(first_url)} redirects more than {MAX_REDIRECTS} times")

    def _ask(self, hop: _Hop, access: ImageAccess, deadline: float) -> requests.Response:
        """Return the answer's head, its body unread; an access token that has ended is renewed once."""
        self._local.label_studio_host = _host(access.hostname)
        token = self._token_for(hop, access)
        response = self._get(hop, token, access, deadline)
        if response.status_code == 401 and token is not None and token.forget_access():
            response.close()
            response = self._get(hop, token, access, deadline)
        return response

    def _get(
        self, hop: _Hop, token: LabelStudioToken | None, access: ImageAccess, deadline: float
    ) -> requests.Response:
        remaining_s = deadline - time.monotonic()
        if remaining_s <= 0:
            raise HostAway(f"{shown(hop.url)} took longer than {self._timeout_s:g} s (IMAGE_TIMEOUT_S)")
        try:
            request = requests.Request(
                "GET",
                hop.url,
                auth=_Credentials(token.header(self._session) if token else _basic(hop, access)),
                headers={
                    "Accept": "image/*,*/*;q=0.5",
                    "Accept-Encoding": "identity",
                    **hop.known.request_headers,
                },
            )
            return self._session.send(
                self._session.prepare_request(request),
                allow_redirects=False,
                timeout=(min(CONNECT_TIMEOUT_S, remaining_s), remaining_s),
                **self._environment_of(urljoin(hop.url, "/")),
            )
        except LabelStudioError as exc:
            raise FetchError(f"no credentials for {shown(hop.url)}: {exc}") from exc
        except requests.exceptions.InvalidURL as exc:
            raise ImageNotFound(f"{hop.url[:80]!r} is no address of an image") from exc
        except (requests.RequestException, urllib3.exceptions.HTTPError, UnicodeError) as exc:
            raise _Passing(HostAway(f"{shown(hop.url)} cannot be reached ({type(exc).__name__})")) from exc

    def _read_environment(self, url: str) -> dict[str, Any]:
        """Return what the environment says of proxies and certificates, as `Session.send` takes it."""
        return dict(self._session.merge_environment_settings(url, {}, stream=True, verify=None, cert=None))

    def _read(self, response: requests.Response, url: str, deadline: float) -> bytes:
        announced = response.headers.get("Content-Length", "")
        if announced.isdigit() and int(announced) > self._max_bytes:
            raise self._too_large(url, int(announced))
        content = bytearray()
        try:
            # read1 returns what one packet brought, so that a server that drips cannot outlast the deadline.
            while block := response.raw.read1(BLOCK_BYTES, decode_content=True):
                content += block
                if len(content) > self._max_bytes:
                    raise self._too_large(url, len(content))
                if time.monotonic() > deadline:
                    raise HostAway(f"{shown(url)} came too slowly: {self._timeout_s:g} s (IMAGE_TIMEOUT_S)")
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise _Passing(ImageDecodeError(f"{shown(url)} broke off after {len(content)} bytes")) from exc
        return bytes(content)

    def _token_for(self, hop: _Hop, access: ImageAccess) -> LabelStudioToken | None:
        if not access.hostname or not access.token or not is_below(hop.url, access.hostname):
            return None
        identity = (access.hostname, access.token)
        with self._tokens_lock:
            token = self._tokens.get(identity)
            if token is None:
                token = self._tokens[identity] = LabelStudioToken(*identity)
        return token

    def _make_session(self, rules: AddressRules, ca_bundle: Path | None) -> requests.Session:
        """Return the session of all threads: one for each would keep connections open by the thousand."""
        session = _OneHop()
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        guarded = GuardedAdapter(rules, lambda: getattr(self._local, "label_studio_host", None))
        session.mount("http://", guarded)
        session.mount("https://", guarded)
        if ca_bundle is not None:
            session.verify = str(ca_bundle)
        return session

    def _too_large(self, url: str, size_bytes: int) -> ImageTooLarge:
        return ImageTooLarge(
            f"{shown(url)} has {size_bytes} bytes or more, accepted are {self._max_bytes} (IMAGE_MAX_BYTES)"
        )


class _OneHop(requests.Session):
    """A session that looks for no next hop: the redirects are ours, and a header of other bytes breaks it."""

    def get_redirect_target(self, resp: requests.Response) -> None:
        return None


class _Credentials(requests.auth.AuthBase):
    """Sets the header given, or none; given as `auth`, so that a .netrc file adds nothing."""

    def __init__(self, header: str | None) -> None:
        self._header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._header is not None:
            request.headers["Authorization"] = self._header
        return request


def _check_status(response: requests.Response, url: str) -> None:
    status = response.status_code
    if status in PASSING_STATUS:
        raise _Passing(HostAway(f"{shown(url)} answered {status}"))
    if status in (404, 410):
        raise ImageNotFound(f"{shown(url)} does not exist ({status})")
    if status in (400, 401, 403) and is_signed(url):
        raise FetchError(
            f"{shown(url)} refused access ({status}); its signature has ended or is wrong: sign the tasks' "
            "addresses anew, or connect the bucket to Label Studio as cloud storage, which signs each time"
        )
    if status in (401, 403):
        raise FetchError(
            f"{shown(url)} refused access ({status}); for Label Studio's own files check "
            "LABEL_STUDIO_API_KEY, for others the project's login"
        )
    if status != 200:
        raise FetchError(f"{shown(url)} answered {status}")


def _host(url: str | None) -> str | None:
    return urlsplit(url).hostname if url else None


def _basic(hop: _Hop, access: ImageAccess) -> str | None:
    if access.login is None or access.password is None or origin(hop.url) != hop.first_origin:
        return None
    if access.hostname and origin(hop.url) == origin(access.hostname):
        return None
    pair = f"{access.login}:{access.password}".encode()
    return "Basic " + base64.b64encode(pair).decode()
