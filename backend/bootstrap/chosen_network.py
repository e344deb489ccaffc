"""The network of `SAM_MODEL`, from a folder or the hub, for the smart tools."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backend.infra.network.model_hub import download_network, stated_licence
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.smart_tools.chosen_network import ChosenNetwork, LoadedNetwork


def chosen_network(
    named: Path | str | None, batching: BatchingQueue, device: Callable[[], str]
) -> ChosenNetwork | None:
    """Return the network that the settings name, a folder or a hub id, not loaded yet; None for our own."""
    if named is None:
        return None

    def load() -> LoadedNetwork:
        folder = named if isinstance(named, Path) else download_network(named)
        from backend.nn.prompts.sam import load_sam

        segmenter = load_sam(folder, device())
        batching.call(segmenter.warm_up).result()
        return LoadedNetwork(_content_name(folder), segmenter.embed, segmenter, stated_licence(folder))

    return ChosenNetwork(f"SAM_MODEL {named}", load, is_local=isinstance(named, Path))


def _content_name(folder: Path) -> str:
    """Return what tells the files of a folder from those of others, and from what lay there before."""
    files = sorted((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in folder.iterdir())
    return f"{folder.resolve()} {files}"
