"""Make torchvision importable beside a torch that its compiled extension was not built for.

PyPI's torchvision is built for CUDA. Beside a CPU-only torch its extension does not load, and even
`import torchvision` (so timm too) fails, because it describes operators that nobody registered.
"""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_SCHEMAS = ("nms", "qnms")
_lock = threading.Lock()
# The registrations live as long as this object does.
_library: Any = None


def ensure_torchvision_ops() -> bool:
    """Make `import torchvision` work; call it before importing torchvision or timm.

    Returns True where torchvision's own operators serve, False where ours stand in: then `nms` and
    `batched_nms` work (on any device, slower), the other compiled operators still do not.
    """
    global _library
    import torch

    with _lock:
        if _library is not None:
            return False
        if hasattr(torch.ops.torchvision, "nms") or _load_extension():
            return True
        library = torch.library.Library("torchvision", "DEF")
        for name in _SCHEMAS:
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
            library.impl(name, nms_greedy, "CompositeExplicitAutograd")
        _library = library
        import torchvision

        # torchvision.ops.nms asks this before it calls the operator that now exists.
        torchvision.extension._has_ops = lambda: True
        return False


def torchvision_ops() -> ModuleType:
    """Return `torchvision.ops`, imported now: its box overlaps work beside any torch."""
    ensure_torchvision_ops()
    import torchvision.ops

    ops: ModuleType = torchvision.ops
    return ops


def nms_greedy(boxes_xyxy: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Return the indices that greedy non-maximum suppression keeps, best score first, int64 [K].

    boxes_xyxy [N, 4], scores [N]; a box goes when its IoU with a kept one is above the threshold.
    """
    import torch

    box_iou = torchvision_ops().box_iou
    order = scores.argsort(descending=True, stable=True)
    boxes = boxes_xyxy[order].float()
    alive = torch.ones(len(order), dtype=torch.bool, device=boxes.device)
    for i in range(len(order)):
        if alive[i]:
            alive[i + 1 :] &= box_iou(boxes[i : i + 1], boxes[i + 1 :])[0] <= iou_threshold
    return order[alive]


def _load_extension() -> bool:
    import torch

    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("torchvision is not installed; install the packages of pyproject.toml")
    candidates = [p for pattern in ("_C*.so", "_C*.pyd") for p in Path(spec.origin).parent.glob(pattern)]
    for path in candidates:
        try:
            torch.ops.load_library(path)
        except (ImportError, OSError):
            continue
        return True
    return False
