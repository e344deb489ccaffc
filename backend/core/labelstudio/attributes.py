"""What annotations say of regions (`perRegion`), and what was found about them as Label Studio results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backend.core.labelstudio.answer_tags import AnswerTag
from backend.core.labelstudio.control_tags import ControlTag
from backend.core.labelstudio.label_config import LabelConfig
from backend.core.labelstudio.results import Region
from backend.core.labelstudio.written_results import rounded_score, said_of_region
from backend.core.regions.unusable import UnusableRegion

Json = dict[str, Any]


@dataclass
class AttributesRead:
    """What is said of a region, by the name of the control tag; and what could not be used, by reason.

    unknown: how often what the config does not have was named, by reason and name.
    """

    taught: dict[str, Any] = field(default_factory=dict)
    unusable: Counter[str] = field(default_factory=Counter)
    unknown: Counter[tuple[str, str]] = field(default_factory=Counter)


def read_attributes(region: Region, config: LabelConfig) -> AttributesRead:
    """Return what an annotation says of a region. An answer that cannot be used costs no other."""
    read = AttributesRead()
    tags = config.attributes_for_image(region.to_name)
    if not tags:
        return read
    control = config.control(region.from_name)
    names = tag_names(control) if control is not None else [region.from_name]
    for tag in tags:
        if not tag.is_about_region(region.labels, names):
            continue
        try:
            taught = tag.kind.taught(tag.asked, _values(region, tag))
        except UnusableRegion as exc:
            read.unusable[exc.reason] += 1
            read.unknown.update((exc.reason, name) for name in exc.names)
            continue
        if taught is not None:
            read.taught[tag.written_name] = taught
    return read


def attribute_results(
    region: Sequence[Json],
    control: ControlTag,
    labels: Sequence[str],
    tags: Sequence[AnswerTag],
    found: Mapping[str, Any],
    thresholds: Mapping[str, float],
) -> list[Json]:
    """Return what was found about a region as results, in the order of the tags; [] for nothing.

    region: its results, of which the first draws it. found: by the name of the control tag. thresholds:
    lowest score by that name.
    """
    results: list[Json] = []
    names = tag_names(control)
    for tag in tags if region else ():
        one = found.get(tag.written_name)
        if one is None or not tag.is_about_region(labels, names):
            continue
        for answer in tag.kind.answers(tag.asked, one, thresholds[tag.written_name]):
            said = said_of_region(region[0], control.kind, tag.name, tag.kind.tag, answer.value)
            results.append({**said, "score": rounded_score(answer.score)})
    return results


def tag_names(control: ControlTag) -> list[str]:
    """Return the names under which a control tag writes its regions: its own, and those of its labels."""
    return [control.name, *(group.tag for group in control.groups)]


def _values(region: Region, tag: AnswerTag) -> list[Mapping[str, Any]]:
    values = []
    for said in region.said:
        if said.from_name != tag.name:
            continue
        if said.type_ != tag.kind.tag or not isinstance(said.value, Mapping):
            raise UnusableRegion("bad_answer")
        values.append(said.value)
    return values
