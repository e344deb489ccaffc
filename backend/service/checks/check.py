"""One line of Check connection."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from backend.service.ports import Json

OK, WARNING, FAILED, SKIPPED = "ok", "warning", "failed", "skipped"


@dataclass(frozen=True)
class Item:
    """One of several things that a check looks at, such as a label: its state, and why it has it."""

    name: str
    state: str
    why: str


@dataclass(frozen=True)
class Check:
    """One link of the chain: what was found, and what to do about it if it is not ok.

    state: OK, WARNING, FAILED or SKIPPED (it could not be tested, or there is nothing to test yet).
    """

    check: str
    title: str
    state: str
    found: str
    fix: str | None = None
    items: tuple[Item, ...] = ()

    def as_dict(self) -> Json:
        """Return the check as the API shows it."""
        return asdict(self)
