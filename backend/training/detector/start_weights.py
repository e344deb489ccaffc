"""Where weights start: at random, from drawn scenes, from ImageNet, or from a version of the project."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from backend.errors import VersionError
from backend.nn.detector.network import InstanceNetwork
from backend.nn.detector.predictor import WEIGHTS_FILE, read_card
from backend.nn.runtime.packed_weights import load_packed
from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops

logger = logging.getLogger(__name__)

HUB_PROBE_S = 8.0
# Position embeddings and the like are resized; nearly all else must be as stored.
TAKEN_OVER_MIN = 0.7
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
SHIPPED_START_WEIGHTS = Path(__file__).parents[2] / "nn" / "weights" / "start-resnet18.safetensors"
"""Learned from generated scenes only; `scripts/train_start_weights.py` rebuilds them."""
SHIPPED_BACKBONE = "resnet18"
RANDOM = "random weights"
# Rows of these belong to labels; all else is shared.
LABEL_PARAMETERS = (
    "detection_head.class_logits.weight",
    "detection_head.class_logits.bias",
    "segmentation_head.semantic_logits.weight",
    "segmentation_head.semantic_logits.bias",
)


@dataclass(frozen=True)
class Start:
    """Where the weights came from: origin for the card, has_learned, and what the user must be told."""

    origin: str
    has_learned: bool = False
    warning: str | None = None


def start_from_version(network: InstanceNetwork, labels: tuple[str, ...], folder: Path) -> Start:
    """Copy a version's weights into the network; labels are matched by name, new ones start fresh.

    Raises VersionError where the version has another backbone or cannot be read.
    """
    card = read_card(folder)
    architecture = card.get("architecture", {})
    theirs, ours = architecture.get("backbone"), network.architecture.backbone
    if theirs != ours:
        raise VersionError(
            f"start_from has the backbone {theirs!r}, this training wants {ours!r}; choose the same backbone "
            "or start from scratch"
        )
    try:
        stored = load_file(folder / WEIGHTS_FILE)
    except Exception as exc:  # safetensors has no public base of its errors
        raise VersionError(f"cannot read the weights of {folder.name}: {exc}") from exc
    known = [str(label) for label in card.get("labels", [])]
    own = network.state_dict()
    for name, value in own.items():
        if name not in stored:
            continue
        if name in LABEL_PARAMETERS:
            for row, label in enumerate(labels):
                if label in known and stored[name].shape[1:] == value.shape[1:]:
                    value[row] = stored[name][known.index(label)]
        elif stored[name].shape == value.shape:
            own[name] = stored[name].to(value.dtype)
    network.load_state_dict(own)
    fresh = [label for label in labels if label not in known]
    logger.info("weights start from version %s; new labels: %s", folder.name, ", ".join(fresh) or "none")
    return Start(origin=f"version {card.get('version', folder.name)}", has_learned=True)


def start_from_imagenet(network: InstanceNetwork, local_path: Path | None) -> Start:
    """Fill the backbone with ImageNet weights: from a local file or folder if given, else from timm's hub.

    Where neither can be had it starts from drawn scenes or at random, and the returned warning says so.
    """
    name = network.architecture.backbone
    try:
        if local_path is not None:
            source = find_local_weights(local_path, name)
            _load_into(network, source)
            return Start(origin=f"ImageNet weights from {source.name}", has_learned=True)
        _load_from_hub(network)
        return Start(origin="ImageNet weights from timm's hub", has_learned=True)
    except Exception as exc:  # every way a download or a foreign file can fail ends in the same fallback
        logger.warning("no pretrained weights for %s: %s", name, exc, exc_info=True)
        reason = str(exc).splitlines()[0][:200] if str(exc) else type(exc).__name__
        instead = start_from_scenes(network)
        kind = "RANDOM WEIGHTS" if instead.origin == RANDOM else "NO PRETRAINED WEIGHTS"
        return Start(
            origin=f"{instead.origin} (pretrained weights could not be had)",
            warning=(
                f"{kind}: the pretrained weights of {name} could not be had ({reason}); training goes on "
                f"from {instead.origin} and needs more images to reach the same quality"
            ),
        )


def start_from_scenes(network: InstanceNetwork) -> Start:
    """Fill a network with what the shipped one learned from drawn scenes; other backbones stay random.

    Every label starts as what all drawn things have in common.
    `has_learned` stays False: drawings are no photographs, and the backbone has to learn as fast as the rest.
    Raises VersionError for a damaged file.
    """
    if network.architecture.backbone != SHIPPED_BACKBONE:
        return Start(origin=RANDOM)
    stored = load_packed(SHIPPED_START_WEIGHTS)
    own = network.state_dict()
    for name, value in own.items():
        if name in LABEL_PARAMETERS and name in stored:
            own[name] = stored[name].mean(dim=0).expand_as(value)
        elif name in stored and stored[name].shape == value.shape:
            own[name] = stored[name]
    network.load_state_dict(own)
    return Start(origin="weights learned from drawn scenes")


def find_local_weights(path: Path, backbone: str) -> Path:
    """Return the weight file of a backbone: the path itself, or in a folder `<backbone>.<suffix>` or
    `<backbone>/model.<suffix>`. Raises FileNotFoundError naming what was looked for.
    """
    if path.is_file():
        return path
    stems = [path / backbone, path / backbone / "model", path / backbone / "pytorch_model"]
    for candidate in (stem.with_name(stem.name + suffix) for stem in stems for suffix in WEIGHT_SUFFIXES):
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"no {backbone}{{{','.join(WEIGHT_SUFFIXES)}}} in {path.name or path}")


def _load_into(network: InstanceNetwork, source: Path) -> None:
    ensure_torchvision_ops()
    import timm

    backbone = network.backbone
    sized: dict[str, Any] = {"img_size": network.architecture.image_size_px} if backbone.needs_square else {}
    body = timm.create_model(
        backbone.name,
        features_only=True,
        pretrained=True,
        pretrained_cfg_overlay={"file": str(source), "custom_load": False},
        **sized,
    )
    _check_taken_over(body, timm.models.load_state_dict(str(source), weights_only=True), source)
    backbone.body.load_state_dict(body.state_dict())


def _check_taken_over(body: torch.nn.Module, stored: dict[str, torch.Tensor], source: Path) -> None:
    """Raise ValueError unless most of the body came from the file; timm skips names it does not know."""
    digests = {(tuple(v.shape), float(v.float().sum())) for v in stored.values()}
    own = [v for v in body.state_dict().values() if v.ndim > 1]
    taken = sum((tuple(v.shape), float(v.float().sum())) in digests for v in own)
    if taken < TAKEN_OVER_MIN * len(own):
        raise ValueError(f"{source.name} fits {taken} of {len(own)} layers; it belongs to another network")


def _load_from_hub(network: InstanceNetwork) -> None:
    """Load through timm; a host that does not answer within HUB_PROBE_S costs no more than that."""
    ensure_torchvision_ops()
    import timm

    backbone = network.backbone
    config = timm.get_pretrained_cfg(backbone.name)
    if config is None or not config.has_weights:
        raise LookupError("timm has no pretrained weights of this network")
    if not _is_cached(config):
        _probe_hub()
    sized: dict[str, Any] = {"img_size": network.architecture.image_size_px} if backbone.needs_square else {}
    body = timm.create_model(backbone.name, features_only=True, pretrained=True, **sized)
    backbone.body.load_state_dict(body.state_dict())


def _is_cached(config: object) -> bool:
    from huggingface_hub import try_to_load_from_cache

    repository = getattr(config, "hf_hub_id", None)
    if not repository:
        return False
    return any(
        isinstance(try_to_load_from_cache(repository, name), str)
        for name in ("model.safetensors", "pytorch_model.bin")
    )


def _probe_hub() -> None:
    """Raise ConnectionError unless the hub answers in time."""
    import requests
    from huggingface_hub import constants

    pool = ThreadPoolExecutor(max_workers=1)
    try:
        # The thread bounds name resolution as well, which no timeout of requests covers.
        answer = pool.submit(requests.head, constants.ENDPOINT, timeout=HUB_PROBE_S / 2, allow_redirects=True)
        answer.result(timeout=HUB_PROBE_S)
    except (requests.RequestException, FutureTimeout) as exc:
        raise ConnectionError(f"timm's hub does not answer within {HUB_PROBE_S:.0f} s") from exc
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def weights_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of a network's weights on the CPU, contiguous, as safetensors wants them."""
    return {k: v.detach().to("cpu", copy=True).contiguous() for k, v in network.state_dict().items()}
