"""What the routes of the ledger answer."""

from __future__ import annotations

from pydantic import Field

from backend.web.answer_models import Answer


class ActCounts(Answer):
    """Regions by what annotators did with them."""

    kept: int
    moved: int
    relabelled: int
    deleted: int
    added: int
    accepted: int = Field(description="In a batch by precision, and edited by nobody since.")
    repaired: int = Field(description="Added by proposals of a second look that somebody took.")


class LabelLedger(Answer):
    """What became of the regions of one label; a deleted one counts with the label that was predicted."""

    label: str
    acts: ActCounts


class VersionLedger(Answer):
    """What became of the predictions of one version."""

    version: str = Field(
        description="Empty: the predictions are gone, so nobody knows whose they were. `second-look`: what "
        "its proposals added to annotations drawn by hand."
    )
    annotations: int
    acts: ActCounts
    hours_by_hand: float
    hours_saved: float


class Period(Answer):
    """A day or a week."""

    starts_at: float = Field(description="Seconds since the epoch.")
    days: int
    annotations: int
    hours_by_hand: float
    hours_saved: float


class Ledger(Answer):
    """What annotators did with the predictions of a project, and the hours that it saved."""

    counted_at: float | None = Field(description="Seconds since the epoch; null before the first count.")
    annotations: int = Field(description="In which predictions, or what was added beside them, are.")
    incomplete: int = Field(description="Of them, those whose prediction was gone before it was counted.")
    acts: ActCounts
    hours_by_hand: float
    hours_saved: float
    by_label: list[LabelLedger]
    by_version: list[VersionLedger]
    over_time: list[Period]
    costs_s: dict[str, float]
