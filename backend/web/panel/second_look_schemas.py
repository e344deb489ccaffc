"""Second looks at what is annotated, as the API shows and takes them."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from backend.core.second_look.kinds import SuspicionKind
from backend.web.answer_models import Answer, Body, Json
from backend.web.panel.queries import WindowQuery

Kind = Literal["missing_object", "object_too_many", "other_label", "badly_placed", "drawn_twice"]
assert {kind.value for kind in SuspicionKind} == set(Kind.__args__)  # type: ignore[attr-defined]


class LookBody(Body):
    """At what to look."""

    images: Literal["unseen", "all"] = Field(
        "unseen",
        description="`unseen`: images that the serving version did not learn from. `all`: every annotated "
        "image, with three versions that are trained for it, each on two thirds of the tasks.",
    )
    pushes: bool = Field(
        False,
        description="Store repaired annotations as predictions of version `second-look`, where something is "
        "likely wrong.",
    )


class FindingsQuery(WindowQuery):
    """A part of the findings."""

    kind: Kind | None = Field(None, description="Findings of this kind alone.")
    show: Literal["open", "dismissed"] = "open"


class LookJob(Answer):
    """The newest second look that was asked for."""

    job_id: str
    status: str
    is_active: bool
    step: str | None
    fraction: float | None
    error: str | None


class FindingView(Answer):
    """A place of an annotation that may be wrong."""

    finding_id: str
    task_id: int
    page: int
    kind: Kind
    probability: float = Field(description="That something is wrong there, 0 to 1.")
    annotation_id: int
    region_id: str | None = Field(description="The doubted region; null for a missing object.")
    labels: list[str]
    proposed_label: str | None
    bounds: list[float] = Field(description="x1, y1, x2, y2 as shares of the image's sides.")
    drawn: list[Json] = Field(description="The doubted region, in Label Studio's form.")
    proposed: list[Json] = Field(description="What is proposed, in Label Studio's form.")
    can_be_taken: bool
    state: Literal["open", "taken", "dismissed"]


class Findings(Answer):
    """What the last second look found, the likeliest first."""

    made_at: float | None = Field(description="Seconds since the epoch; null before any look.")
    version: str | None = Field(description="Which version looked; null: versions trained for it.")
    images: int
    left_out: int = Field(description="Less likely findings that are not kept.")
    job: LookJob | None
    counts: dict[str, int] = Field(description="Findings by kind.")
    dismissed: int
    total: int
    offset: int
    findings: list[FindingView]


class Decided(Answer):
    """What is known of a finding now."""

    finding_id: str
    state: Literal["open", "taken", "dismissed"]
    annotation_id: int
