"""`<Repeater>`: tags of a labeling config that stand once for each item of a list, such as a page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from backend.core.regions.values import parse_whole_number

INDEX_FLAG = "{{idx}}"  # of a repeater that names none


@dataclass(frozen=True)
class Repeater:
    """A `<Repeater>`: what stands below it is there once for each item of a list in the task's data.

    index_flag: what the item's number, from 0, takes the place of in every attribute, the first time it is
    there. Source: the editor of Label Studio 1.23.
    """

    on_key: str
    index_flag: str

    @classmethod
    def of(cls, attributes: Mapping[str, str]) -> Repeater:
        """Return the repeater of a tag's attributes, whose names are in lower case."""
        on_key = attributes.get("on", "").strip().removeprefix("$")
        return cls(on_key, attributes.get("indexflag") or INDEX_FLAG)

    def filled(self, text: str, index: int) -> str:
        """Return an attribute as it reads for one item."""
        return text.replace(self.index_flag, str(index), 1)

    def index_in(self, text: str, filled: str) -> int | None:
        """Return the item for which an attribute reads so, or None; the way back of `filled`."""
        before, _, after = text.partition(self.index_flag)
        number = parse_whole_number(filled[len(before) : len(filled) - len(after)])
        return number if number is not None and self.filled(text, number) == filled else None
