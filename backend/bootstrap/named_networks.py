"""The networks of `SAM_MODEL` and `ZERO_SHOT_MODEL`, from a folder or the hub."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from backend.core.versions.names import zero_shot_name
from backend.infra.network.model_hub import TEXT_DETECTOR_FILES, download_network, stated_licence
from backend.service.engine.batching_queue import BatchingQueue
from backend.service.engine.image_predictor import ImagePredictor
from backend.service.engine.named_network import NamedNetwork
from backend.service.engine.zero_shot import ZERO_SHOT, OpenVocabularyNetwork, Vocabulary, ZeroShot
from backend.service.projects.projects import Projects
from backend.service.smart_tools.segmenters import SMART_TOOLS, LoadedNetwork


def sam_network(
    named: Path | str | None, batching: BatchingQueue, device: Callable[[], str]
) -> NamedNetwork[LoadedNetwork] | None:
    """Return the network that the settings name, a folder or a hub id, not loaded yet; None for our own."""
    if named is None:
        return None

    def load() -> LoadedNetwork:
        folder = named if isinstance(named, Path) else download_network(named)
        from backend.nn.prompts.sam import load_sam

        segmenter = load_sam(folder, device())
        batching.call(segmenter.warm_up).result()
        return LoadedNetwork(_content_name(folder), segmenter.embed, segmenter, stated_licence(folder))

    return NamedNetwork(f"SAM_MODEL {named}", load, SMART_TOOLS, is_local=isinstance(named, Path))


def zero_shot(named: Path | str | None, projects: Projects, device: Callable[[], str]) -> ZeroShot:
    """Return what predicts before any training with the network that the settings name, if they name one."""
    if named is None:
        return ZeroShot(projects)

    def load() -> OpenVocabularyNetwork:
        folder = named if isinstance(named, Path) else download_network(named, TEXT_DETECTOR_FILES)
        from backend.nn.prompts.segmenter import load_segmenter
        from backend.nn.zero_shot.detector import load_text_detector
        from backend.nn.zero_shot.predictor import ZeroShotPredictor

        detector, segmenter = load_text_detector(folder, device()), load_segmenter(None)

        def predictor(version: str, vocabulary: Vocabulary) -> ImagePredictor:
            outlines = segmenter if vocabulary.with_masks else None
            return ZeroShotPredictor(detector, outlines, version, vocabulary.labels, vocabulary.texts)

        return OpenVocabularyNetwork(predictor, stated_licence(folder))

    network = NamedNetwork(f"ZERO_SHOT_MODEL {named}", load, ZERO_SHOT, is_local=isinstance(named, Path))
    model = named.resolve().name if isinstance(named, Path) else named
    return ZeroShot(projects, zero_shot_name(model), network)


def _content_name(folder: Path) -> str:
    """Return what tells the files of a folder from those of others, and from what lay there before."""
    files = sorted((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in folder.iterdir())
    return f"{folder.resolve()} {files}"
