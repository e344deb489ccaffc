"""Whether a new version serves at once, or waits as a candidate beside the one that serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backend.service.services import Services


@dataclass(frozen=True)
class Decision:
    """Whether to activate, and a sentence why."""

    activate: bool
    reason: str


def decide_activation(services: Services, key: str, card: Mapping[str, Any]) -> Decision:
    """Compare a new version's card with that of the serving one."""
    current = services.versions.current(key)
    if current is None:
        return Decision(True, "it is the first version")
    return Decision(True, f"it replaces {current}")
