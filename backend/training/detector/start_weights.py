"""Where weights start: at random, from drawn scenes, or from a version; `pretrained` has ImageNet."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file

from backend.errors import VersionError
from backend.nn.detector.network import InstanceNetwork
from backend.nn.detector.predictor import WEIGHTS_FILE, read_card
from backend.nn.runtime.packed_weights import load_packed

logger = logging.getLogger(__name__)

RANDOM = "random weights"


@dataclass(frozen=True)
class ShippedStart:
    """Weights of a whole network, by `save_packed`, that learned before any user's images.

    origin: for the card. has_seen_imagenet: its backbone began from ImageNet's photographs.
    """

    backbone: str
    path: Path
    origin: str
    has_seen_imagenet: bool = False


_WEIGHTS = Path(__file__).parents[2] / "nn" / "weights"
DRAWN_START = ShippedStart(
    "resnet18", _WEIGHTS / "start-resnet18.safetensors", "weights learned from drawn scenes"
)
"""Learned from generated scenes only; `scripts/train_start_weights.py` rebuilds it."""
PHOTOGRAPH_START = ShippedStart(
    "tf_efficientnet_lite0",
    _WEIGHTS / "start-lite0.safetensors",
    "ImageNet weights that are shipped, a neck and heads that learned from photographs and drawn scenes",
    has_seen_imagenet=True,
)
"""A backbone of ImageNet; neck and heads learned before it, by the same script."""


@dataclass(frozen=True)
class Start:
    """Where the weights came from: origin for the card, and what the user must be told.

    is_version: a version of a project, whose backbone knows such pictures.
    """

    origin: str
    is_version: bool = False
    warning: str | None = None


def start_from_version(network: InstanceNetwork, labels: tuple[str, ...], folder: Path) -> Start:
    """Copy a version's weights into the network; labels are matched by name, new ones start fresh.

    Raises VersionError where the version has another backbone or cannot be read.
    """
    card = read_card(folder)
    theirs, ours = card.backbone, network.architecture.backbone
    if theirs != ours:
        raise VersionError(
            f"start_from has the backbone {theirs!r}, this training wants {ours!r}; choose the same backbone "
            "or start from scratch"
        )
    try:
        stored = load_file(folder / WEIGHTS_FILE)
    except Exception as exc:  # safetensors has no public base of its errors
        raise VersionError(f"cannot read the weights of {folder.name}: {exc}") from exc
    known = list(card.labels)
    own = network.state_dict()
    theirs_asked = card.facts.get("architecture", {}).get("asked", {})
    is_asked_alike = theirs_asked == network.architecture.asked
    for name, value in own.items():
        if name not in stored or (name in network.asked_parameters and not is_asked_alike):
            continue
        if name in network.label_parameters:
            for row, label in enumerate(labels):
                if label in known and stored[name].shape[1:] == value.shape[1:]:
                    value[row] = stored[name][known.index(label)]
        elif stored[name].shape == value.shape:
            own[name] = stored[name].to(value.dtype)
    network.load_state_dict(own)
    fresh = [label for label in labels if label not in known]
    logger.info("weights start from version %s; new labels: %s", folder.name, ", ".join(fresh) or "none")
    return Start(origin=f"version {card.version or folder.name}", is_version=True)


def start_from_shipped(network: InstanceNetwork, shipped: ShippedStart = DRAWN_START) -> Start:
    """Fill a network with what the shipped one of its backbone learned; other backbones stay random.

    Every label starts as what all things have in common. Raises VersionError for a damaged file.
    """
    if network.architecture.backbone != shipped.backbone:
        return Start(origin=RANDOM)
    _take_over(network, load_packed(shipped.path))
    return Start(origin=shipped.origin)


def take_over_neck_and_heads(network: InstanceNetwork, shipped: ShippedStart = PHOTOGRAPH_START) -> None:
    """Fill neck and heads with what the shipped ones learned, wherever the shapes agree.

    All but the neck's first convolutions have one shape before every backbone.
    Raises VersionError for a damaged file.
    """
    stored = load_packed(shipped.path)
    _take_over(network, {n: v for n, v in stored.items() if not n.startswith("backbone.")})


def _take_over(network: InstanceNetwork, stored: Mapping[str, torch.Tensor]) -> None:
    own = network.state_dict()
    for name, value in own.items():
        if name in network.label_parameters and name in stored:
            own[name] = stored[name].mean(dim=0).expand_as(value)
        elif name in stored and stored[name].shape == value.shape:
            own[name] = stored[name]
    network.load_state_dict(own)


def weights_of(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of a network's weights on the CPU, contiguous, as safetensors wants them."""
    return {k: v.detach().to("cpu", copy=True).contiguous() for k, v in network.state_dict().items()}
