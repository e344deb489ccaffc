"""The two kinds of Label Studio token, and the header each becomes.

A legacy token goes as `Token <it>`. A personal access token is a JWT that only buys access tokens, which go
as `Bearer <it>` and live for five minutes. Source: Label Studio 1.23, `POST /api/token/refresh/`.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import requests

from backend.errors import LabelStudioAuthError, LabelStudioError

RENEW_BEFORE_S = 60.0
DEFAULT_LIFETIME_S = 300.0
REFRESH_TIMEOUT_S = 15.0
REFUSED = (
    "Label Studio refused the token (401). Legacy tokens are off in new organizations: either create a "
    "personal access token (Account & Settings) and set it as LABEL_STUDIO_API_KEY, or switch legacy tokens "
    "on under Organization > API Tokens"
)


class LabelStudioToken:
    """One token of one Label Studio, shared by threads."""

    def __init__(self, url: str, token: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._clock = clock
        self._lock = threading.Lock()
        self._access: str | None = None
        self._access_ends = 0.0
        claims = _claims(token)
        self._is_refresh_token = claims is not None and claims.get("token_type", "refresh") == "refresh"
        self._is_jwt = claims is not None

    def header(self, session: requests.Session) -> str:
        """Return the Authorization header's value, renewing the access token if it ends soon."""
        if not self._is_jwt:
            return f"Token {self._token}"
        if not self._is_refresh_token:
            return f"Bearer {self._token}"
        with self._lock:
            if self._access is None or self._clock() > self._access_ends - RENEW_BEFORE_S:
                self._access = self._fetch_access(session)
            return f"Bearer {self._access}"

    def forget_access(self) -> bool:
        """Drop the access token after a 401; tell whether a new one can be had."""
        with self._lock:
            had_one = self._access is not None
            self._access = None
        return self._is_refresh_token and had_one

    def _fetch_access(self, session: requests.Session) -> str:
        try:
            response = session.post(
                f"{self._url}/api/token/refresh/",
                json={"refresh": self._token},
                timeout=REFRESH_TIMEOUT_S,
                allow_redirects=False,
                auth=_no_auth,
            )
        except requests.RequestException as exc:
            raise LabelStudioError(
                f"Label Studio at {self._url} cannot be reached for an access token ({type(exc).__name__})"
            ) from exc
        if response.status_code in (400, 401, 403):
            raise LabelStudioAuthError(
                f"Label Studio refused the personal access token ({response.status_code}): it has ended or "
                "was revoked. Create one under Account & Settings and set it as LABEL_STUDIO_API_KEY"
            )
        try:
            access = response.json()["access"]
        except (ValueError, KeyError, TypeError) as exc:
            raise LabelStudioError(
                f"Label Studio at {self._url} answered {response.status_code} without an access token; "
                "is the address right?"
            ) from exc
        self._access_ends = self._clock() + _lifetime_s(access)
        return str(access)


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from putting in what a .netrc file says."""
    return request


def _claims(token: str) -> dict[str, Any] | None:
    """Return what a JWT says of itself, unverified, or None where the token is none."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}


def _lifetime_s(access: str) -> float:
    claims = _claims(access) or {}
    issued, ends = claims.get("iat"), claims.get("exp")
    if isinstance(issued, int | float) and isinstance(ends, int | float) and ends > issued:
        return float(ends - issued)
    return DEFAULT_LIFETIME_S
