"""`<TextArea perRegion="true">`: text that people write of each region, and as what it is stored.

Source of the format: Label Studio 1.23. A text is a result of its own, `type` "textarea", with the `id` and
the geometry of the region that it is about; its value's `text` is a list, one entry for each submission.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from backend.core.labelstudio.repeater import Repeater
from backend.core.labelstudio.written_results import said_of_region
from backend.core.regions.kind import RegionKind

TEXT_TYPE = "textarea"
MOST_CHARACTERS = 10_000
"""Of one region's text, as it is sent."""

Json = dict[str, Any]


@dataclass(frozen=True)
class TextTag:
    """A tag that takes the text of each region on one image.

    is_skipped: `model_skip`. repeater: the one it stands in; its names then hold the index flag.
    """

    name: str
    to_name: str
    is_skipped: bool = False
    repeater: Repeater | None = None

    def for_image(self, name: str) -> TextTag | None:
        """Return the tag as it stands for an image tag of that name; None where it is about another."""
        if self.repeater is None:
            return self if self.to_name == name else None
        index = self.repeater.index_in(self.to_name, name)
        if index is None:
            return None
        return replace(self, name=self.repeater.filled(self.name, index), to_name=name, repeater=None)


def is_text_of_regions(tag: str, attributes: Mapping[str, str]) -> bool:
    """Tell whether a tag, and its attributes by name, both in lower case, is one for the text of regions."""
    return tag == TEXT_TYPE and attributes.get("perregion", "").strip().lower() == "true"


def text_results(
    region: Sequence[Json], kind: RegionKind, tags: Sequence[TextTag], text: str | None
) -> list[Json]:
    """Return the text of a region as results, one for each tag; [] where there is none.

    region: its results, of which the first draws it and stands for the id and the place.
    """
    if not region or not text:
        return []
    value = {"text": [text[:MOST_CHARACTERS]]}
    return [said_of_region(region[0], kind, tag.name, TEXT_TYPE, value) for tag in tags]
