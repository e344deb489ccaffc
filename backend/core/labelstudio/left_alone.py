"""Control tags that are not learned, and why: for people who would wait for predictions in vain."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from backend.core.answers.kinds import ANSWER_KINDS, answer_kind
from backend.core.regions.kind import LABELS_SUFFIX, RegionKind
from backend.core.regions.kinds import OTHER_TYPES, kind_of_type

SKIPPED = "model_skip is set: neither learned nor predicted"
NO_REGIONS = "it is about regions (perRegion), and no tag beside it draws objects that are learned"
NO_LABELS = "it has no labels: give it some, or a <Labels> beside it"


def why_prompts(kind: RegionKind, *, are_all: bool) -> str:
    """Return why regions of a tag that says it is smart are not learned, or not all of them."""
    said = f'{kind.plural} with smart="true" and labels that other tags draw are prompts of smart tools'
    return f"{said}, so they are not predicted" if are_all else f"{said}; its other labels are predicted"


@dataclass(frozen=True)
class OtherTag:
    """A control tag that this backend neither learns nor predicts; tag: as written, such as `Choices`.

    takes_text: of each region, which is read where the tag is placed rightly.
    """

    name: str
    tag: str
    to_name: str
    takes_text: bool = False

    @property
    def draws(self) -> bool:
        """Whether Label Studio draws regions with it."""
        return self.tag.lower() in OTHER_TYPES or kind_of_type(self.tag) is not None

    @property
    def is_left_to_people(self) -> bool:
        """Whether it is of a kind that is never learned, wherever it stands."""
        has_part = self.draws or self.takes_text or self.tag.lower() == LABELS_SUFFIX
        return not has_part and answer_kind(self.tag) is None


@dataclass(frozen=True)
class LeftAlone:
    """A control tag that is not learned, or not all of it; tag: as written; draws: it draws regions."""

    name: str
    tag: str
    why: str
    draws: bool


def why_left_alone(tag: OtherTag, images: Collection[str], kinds: Sequence[RegionKind]) -> str:
    """Return why a tag of no kind of region is not learned; images: names of the `<Image>` tags."""
    names = [name.strip() for name in tag.to_name.split(",")]
    is_of_images = any(name in images for name in names)
    if is_of_images and tag.is_left_to_people:
        answers = ", ".join(kind.title for kind in ANSWER_KINDS)
        return f"<{tag.tag}> is left to people: only shapes, painted areas and {answers} are learned"
    if len(names) > 1 and is_of_images:
        return f"its toName names several tags ({', '.join(names)}): give each image a control tag of its own"
    if tag.to_name not in images:
        return f"it belongs to {tag.to_name}, which is no <Image>"
    if tag.tag.lower() == LABELS_SUFFIX:
        titles = ", ".join(kind.title for kind in kinds)
        return f"no plain tag beside it ({titles}) takes its labels"
    if tag.takes_text or answer_kind(tag.tag) is not None or kind_of_type(tag.tag, kinds) is not None:
        return (
            "it has no name of its own for each image: inside a <Repeater> its name must hold the index flag"
        )
    titles = ", ".join(kind.title for kind in kinds)
    return f"regions of <{tag.tag}> are not learned: draw with {titles}"


def in_words(tags: Sequence[LeftAlone], *, only_drawing: bool = True) -> str:
    """Return why each tag is not learned, as a sentence to go on with; "" where there is none.

    only_drawing: those that draw regions, which people would wait for; else every one.
    """
    named = (tag for tag in tags if tag.draws or not only_drawing)
    return "; ".join(f"{tag.name} ({tag.tag}): {tag.why}" for tag in named)


def what_to_add(kinds: Sequence[RegionKind]) -> str:
    """Return the tags of which a labeling config needs one, to teach something."""
    return (
        f"{_any_of(kind.labels_title for kind in kinds)} with <Label> tags, "
        f"or {_any_of(kind.title for kind in kinds)} beside a <Labels>, "
        f"or {_any_of(kind.title for kind in ANSWER_KINDS)} of the image"
    )


def _any_of(names: Iterable[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
