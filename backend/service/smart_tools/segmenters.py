"""The networks that answer prompts, as the smart tools see them: our own, and one that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from backend.core.geometry.instances import FloatArray
from backend.service.engine.named_network import Role
from backend.service.engine.work_items import RgbImage

if TYPE_CHECKING:
    from backend.core.labelstudio.prompts import Prompts
    from backend.nn.prompts.encoding import Encoding
    from backend.nn.prompts.segmenter import BoxMasks, SegmentedObject

SMART_TOOLS = Role(
    "%s answers the smart tools; licence of its weights: %s",
    "our own network answers the smart tools, not %s: %s",
)


class Segmenter(Protocol):
    """A network that answers prompts on encoded images; threads may share it."""

    def segment(
        self,
        encoding: Encoding,
        prompts: Prompts,
        label_index: int | None = None,
        detector: BoxMasks | None = None,
    ) -> SegmentedObject | None:
        """Return the object that the prompts mean, None where nothing is found."""

    def warm_up(self) -> None:
        """Make the first real answer meet ready code."""


@dataclass(frozen=True)
class LoadedNetwork:
    """A network with an image encoder of its own, whose features are kept with every encoding.

    embedder: tells its weights from all others. embed: returns the features of an RGB image uint8 [H, W, 3],
    maps float16 [C, h, w].
    licence: of the weights, as their model card states it.
    """

    embedder: str
    embed: Callable[[RgbImage], tuple[FloatArray, ...]]
    segmenter: Segmenter
    licence: str
