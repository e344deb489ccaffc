"""One authorised connection to a Label Studio: retries, time limits, and what its refusals mean."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any

import requests
from urllib3.exceptions import NewConnectionError

from backend.errors import AddressRefused, LabelStudioAuthError, LabelStudioError, LabelStudioGone
from backend.infra.labelstudio.token import REFUSED, LabelStudioToken
from backend.infra.network.addresses import AddressRules, GuardedAdapter

logger = logging.getLogger(__name__)

Json = dict[str, Any]
RETRY_WAITS_S = (0.5, 1.0, 2.0, 4.0, 8.0)
PASSING_STATUS = frozenset({429, 500, 502, 503, 504})
CONNECT_TIMEOUT_S = 10.0


class UnsureError(LabelStudioError):
    """The call may or may not have been carried out."""


class InvalidError(LabelStudioError):
    """Label Studio refused what was sent (400)."""


class LabelStudioConnection:
    """Calls to one Label Studio with one token. Threads may share one.

    timeout_s: how long Label Studio may be silent. ca_bundle: certificates to trust, not the built-in ones.
    """

    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_s: float,
        ca_bundle: Path | None,
        sleep: Callable[[float], None],
    ) -> None:
        self._url = url.rstrip("/")
        self._token = LabelStudioToken(self._url, token)
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._session = self._make_session(ca_bundle)

    def call(
        self,
        method: str,
        path: str,
        *,
        params: Json | None = None,
        body: Any = None,
        timeout_s: float | None = None,
    ) -> Any:
        """Return the parsed answer (None where it is empty); tries again where that is harmless."""
        for wait_s in (*RETRY_WAITS_S, None):
            try:
                response = self._send(method, path, params, body, timeout_s or self._timeout_s)
            except AddressRefused as exc:
                raise LabelStudioError(f"Label Studio cannot be at {self._url}: {exc}") from exc
            except requests.RequestException as exc:
                was_sent = _was_sent(exc)
                error = self._unreachable(path, exc, UnsureError if was_sent else LabelStudioError)
                if wait_s is None or (method == "POST" and was_sent):
                    raise error from exc
            else:
                if response.status_code not in PASSING_STATUS:
                    return _parse(path, response)
                error = _refusal(
                    path, response, UnsureError if response.status_code != 429 else LabelStudioError
                )
                if wait_s is None or (method == "POST" and response.status_code != 429):
                    raise error
            logger.warning("%s; trying again in %g s", error, wait_s)
            self._sleep(wait_s * random.uniform(0.8, 1.2))
        raise AssertionError("the last try returns or raises")

    def _send(
        self, method: str, path: str, params: Json | None, body: Any, timeout_s: float
    ) -> requests.Response:
        def ask() -> requests.Response:
            return self._session.request(
                method,
                self._url + path,
                params=params,
                json=body,
                auth=_Authorization(self._token.header(self._session)),
                timeout=(CONNECT_TIMEOUT_S, timeout_s),
                # The token must reach no other host, and a redirected POST would lose its body.
                allow_redirects=False,
            )

        response = ask()
        if response.status_code == 401 and self._token.forget_access():
            response = ask()
        return response

    def _make_session(self, ca_bundle: Path | None) -> requests.Session:
        session = requests.Session()
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
        # The address may have come with /setup, so it gets no further than an image's may.
        guarded = GuardedAdapter(AddressRules(), lambda: None)
        session.mount("http://", guarded)
        session.mount("https://", guarded)
        if ca_bundle is not None:
            session.verify = str(ca_bundle)
        return session

    def _unreachable(self, path: str, exc: Exception, kind: type[LabelStudioError]) -> LabelStudioError:
        return kind(
            f"Label Studio at {self._url} does not answer {path} ({type(exc).__name__}); "
            "is it running, and is LABEL_STUDIO_URL right as seen from this service?"
        )


class _Authorization(requests.auth.AuthBase):
    """A fixed header; given as `auth`, so that a .netrc file cannot replace it."""

    def __init__(self, header: str) -> None:
        self._header = header

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = self._header
        return request


def _was_sent(exc: requests.RequestException) -> bool:
    """Tell whether the request may have reached Label Studio: not if no connection came about."""
    if isinstance(exc, requests.ConnectTimeout):
        return False
    cause = getattr(exc.args[0], "reason", None) if exc.args else None
    return not isinstance(cause, NewConnectionError)


def _parse(path: str, response: requests.Response) -> Any:
    status = response.status_code
    if status == 401:
        raise LabelStudioAuthError(REFUSED)
    if status == 403:
        raise LabelStudioAuthError(f"Label Studio forbids {path} to the owner of the token (403)")
    if status == 404:
        raise LabelStudioGone(
            f"Label Studio has no {path} (404): deleted, or not visible to the token's owner"
        )
    if 300 <= status < 400:
        target = response.headers.get("Location", "elsewhere").split("?")[0][:200]
        raise LabelStudioError(
            f"Label Studio redirects {path} to {target}; set LABEL_STUDIO_URL to its address there"
        )
    if status >= 400:
        raise _refusal(path, response, InvalidError if status == 400 else LabelStudioError)
    if status == 204 or not response.content:
        return None
    try:
        return response.json()
    except ValueError as exc:
        kind = response.headers.get("Content-Type", "no type").split(";")[0][:80]
        raise LabelStudioError(
            f"Label Studio answered {path} with {kind} where JSON was expected; is LABEL_STUDIO_URL right?"
        ) from exc


def _refusal(path: str, response: requests.Response, kind: type[LabelStudioError]) -> LabelStudioError:
    reason = ""
    if "json" in response.headers.get("Content-Type", ""):
        reason = ": " + response.text[:300]
    return kind(f"Label Studio answered {path} with {response.status_code}{reason}")
