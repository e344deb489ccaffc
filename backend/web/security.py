"""Who may call what: HTTP Basic for everything but health and Label Studio's unauthenticated events.

And no page of another site changes anything: a service on 127.0.0.1 without a password is within reach of
every page that its user's browser has open.
"""

from __future__ import annotations

import hmac
import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from urllib.parse import urlsplit

from flask import Flask, Response, request

from backend.web.problems import problem

logger = logging.getLogger(__name__)

OPEN_PATHS = ("/health",)
SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
OWN_SITES = ("same-origin", "none")
EVENT_PATH = "/webhook"
MOST_REMEMBERED = 1000
FREE_FAILURES = 5
FORGET_AFTER_S = 300.0
FIRST_DELAY_S, MOST_DELAY_S = 0.1, 2.0
MOST_DOUBLINGS = 10
MOST_DELAYED_AT_ONCE = 4
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; style-src 'self'; script-src 'self'; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
}


class FailedAttempts:
    """Slows callers that keep giving wrong passwords, without letting them hold every thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._delayed = threading.BoundedSemaphore(MOST_DELAYED_AT_ONCE)

    def add(self, address: str) -> float:
        """Count a failure and return the seconds to wait before answering it."""
        with self._lock:
            count, since = self._failures.pop(address, (0, 0.0))
            count = count + 1 if self._clock() - since < FORGET_AFTER_S else 1
            self._failures[address] = (count, self._clock())
            while len(self._failures) > MOST_REMEMBERED:
                self._failures.popitem(last=False)
        if count <= FREE_FAILURES:
            return 0.0
        return min(MOST_DELAY_S, FIRST_DELAY_S * 2.0 ** min(count - FREE_FAILURES, MOST_DOUBLINGS))

    def wait(self, delay_s: float) -> bool:
        """Sleep, unless too many are asleep already; tell whether it did."""
        if not self._delayed.acquire(blocking=False):
            return False
        try:
            time.sleep(delay_s)
        finally:
            self._delayed.release()
        return True

    def forget(self, address: str) -> None:
        """Forget the failures of a caller that got in."""
        with self._lock:
            self._failures.pop(address, None)


def register_security(app: Flask, basic_auth: tuple[str, str] | None) -> None:
    """Refuse other sites' pages, check the password where one is set, add the headers that browsers need."""
    app.after_request(_add_headers)
    app.before_request(_refuse_other_sites)
    if basic_auth is None:
        return
    failures = FailedAttempts()
    user, password = (part.encode() for part in basic_auth)

    @app.before_request
    def check() -> Response | None:
        if request.path in OPEN_PATHS or (request.path == EVENT_PATH and request.authorization is None):
            return None  # the event's route refuses what needs a password: it has to read the action first
        return None if is_allowed() else refuse()

    def is_allowed() -> bool:
        given = request.authorization
        if given is None or given.type != "basic":
            return False
        # Both are always compared, so that the time says nothing about which one was wrong.
        is_user = hmac.compare_digest((given.username or "").encode(), user)
        is_password = hmac.compare_digest((given.password or "").encode(), password)
        if is_user and is_password:
            failures.forget(request.remote_addr or "")
            return True
        return False

    def refuse() -> Response:
        delay_s = 0.0
        if request.authorization is not None:
            logger.warning("wrong user or password from %s", request.remote_addr)
            delay_s = failures.add(request.remote_addr or "")
        if delay_s and not failures.wait(delay_s):
            response = problem(429, "too many wrong passwords; try again later")
            response.headers["Retry-After"] = str(int(MOST_DELAY_S))
            return response
        return unauthorized()

    app.extensions["is_allowed"] = is_allowed


def unauthorized() -> Response:
    """Return the answer to a call without (right) user and password."""
    response = problem(
        401, "user and password are needed; Label Studio has fields for both in the model's form"
    )
    response.headers["WWW-Authenticate"] = 'Basic realm="Label Studio ML backend", charset="UTF-8"'
    return response


def _refuse_other_sites() -> Response | None:
    """Return a 403 for a changing request that a browser sent from another site, None for all others.

    Browsers say where a request comes from in Sec-Fetch-Site or Origin, and pages cannot forge either;
    programs such as Label Studio and curl send neither, and carry no stored password that a page could abuse.
    """
    if request.method in SAFE_METHODS or _is_own_site():
        return None
    message = "a browser sent this from another site; open the panel itself, or call from a program"
    return problem(403, message)


def _is_own_site() -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in OWN_SITES
    origin = request.headers.get("Origin")
    try:
        return origin is None or urlsplit(origin).netloc == request.host
    except ValueError:  # no address at all, such as `http://[`
        return False


def _add_headers(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    return response
