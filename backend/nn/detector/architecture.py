"""What rebuilds a network, as it stands in a version's card."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.nn.detector.heads.catalog import HEADS, heads_named
from backend.nn.detector.heads.head import AnyHead

_BEFORE_HEADS = ("boxes", "masks")
"""The heads that cards of the first release may mean: `has_masks` told whether the second is there."""


@dataclass(frozen=True)
class Architecture:
    """Everything that rebuilds a network.

    image_size_px: longest side of the input; canvas: "rect" (sides are multiples of 32) or "square".
    heads: what is learned and predicted, in the order in which they decode.
    mean and std: per RGB channel on the scale 0..1. asked: what heads are to learn beside objects, by name.
    """

    backbone: str
    image_size_px: int
    label_count: int
    heads: tuple[AnyHead, ...]
    canvas: str = "rect"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    neck_channels: int = 96
    mask_channels: int = 48
    asked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def head_names(self) -> tuple[str, ...]:
        """The names of the heads."""
        return tuple(head.name for head in self.heads)

    def as_card(self) -> dict[str, Any]:
        """Return JSON-ready values."""
        values = {name: getattr(self, name) for name in self.__dataclass_fields__}
        values["heads"] = self.head_names
        if not self.asked:
            del values["asked"]  # cards without it are read by older releases too
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

    def as_first_card(self) -> dict[str, Any]:
        """Return the values as the first release wrote them, by which its checkpoints are known again."""
        values = self.as_card()
        names = values.pop("heads")
        has_masks = "masks" in names
        first = {"has_masks": has_masks, **values}
        return first if names == list(_BEFORE_HEADS[: 1 + has_masks]) else {**first, "heads": names}

    @classmethod
    def from_card(cls, values: Mapping[str, Any], heads: tuple[AnyHead, ...] = HEADS) -> Architecture:
        """Read what `as_card` wrote, of the first release too; heads: those that there are.

        Raises KeyError, TypeError or ValueError where it is something else.
        """
        names = values.get("heads")
        if names is None:
            names = _BEFORE_HEADS if values["has_masks"] else _BEFORE_HEADS[:1]
        read = {name: values[name] for name in cls.__dataclass_fields__ if name not in ("heads", "asked")}
        read |= {"mean": tuple(read["mean"]), "std": tuple(read["std"]), "asked": values.get("asked", {})}
        return cls(heads=heads_named(list(names), heads), **read)
