"""The smart tools without a network."""

from __future__ import annotations

from typing import Any

from backend.service.engine.named_network import NetworkState


class FakeInteractive:
    """Answers every prompt with no regions, and remembers it."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def answer(self, task, config, context, project_key, access):
        self.asked.append((task, config, context, project_key, access))
        return {"result": [], "score": 0.0, "model_version": "not-trained"}

    def warm_up(self) -> None:
        self.is_warm = True

    def network_state(self) -> NetworkState:
        return NetworkState()
