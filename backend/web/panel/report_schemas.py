"""What the routes of evaluation reports and of the learning curve answer."""

from __future__ import annotations

from pydantic import Field

from backend.web.answer_models import Answer
from backend.web.panel.model_schemas import Comparison


class Share(Answer):
    """A share, and the range that holds the true one in 80 of 100 cases; null where nothing was counted."""

    of: int
    value: float | None
    low: float | None
    high: float | None


class ReportRow(Answer):
    """Precision and recall of a label, of a size, or of everything."""

    name: str
    drawn: int
    found: int
    precision: Share
    recall: Share


class Confusion(Answer):
    """How often what was drawn as one label was found as another; an empty text is nothing there."""

    drawn: str
    found: str
    count: int


class ReportBin(Answer):
    """What was found with scores from `low` to `high`."""

    low: float
    high: float
    count: int
    mean_score: float
    right: float = Field(description="The share that is right.")


class PlacedObject(Answer):
    """An object that was drawn (score null) or found."""

    label: str
    bounds: list[float] = Field(description="x1, y1, x2, y2 as shares of the image's sides.")
    is_right: bool = Field(description="Whether it was drawn and found alike.")
    score: float | None


class WorstImage(Answer):
    """A held-out image with many mistakes."""

    task_id: int
    page: int
    width: int
    height: int
    missed: int
    wrong: int
    objects: list[PlacedObject]
    left_out: int


class VersionReport(Answer):
    """What the training of a version measured on images that it held back, and what changed."""

    version: str
    created_at: float | None
    labels: list[str]
    backbone: str | None
    learned_images: int | None
    held_out_images: int
    metrics: dict[str, float]
    threshold: float | None = Field(description="The score from which objects count as found.")
    total: ReportRow | None
    by_label: list[ReportRow]
    by_size: list[ReportRow] = Field(description="COCO's sizes: small below 32², large from 96² pixels.")
    by_label_and_size: list[ReportRow]
    confusion: list[Confusion]
    calibration: list[ReportBin]
    worst: list[WorstImage]
    warnings: list[str]
    missing: list[str] = Field(description="A sentence for each part that the training did not keep.")
    before: Comparison | None = Field(description="What changed since the version before.")


class CurvePoint(Answer):
    """A version on the curve."""

    version: str
    images: int
    measure: float
    standard_error: float


class Forecast(Answer):
    """What a version of so many images would measure: from low to high in 80 of 100 cases."""

    images: int
    middle: float
    low: float
    high: float


class LearningCurve(Answer):
    """What the versions of a project measured, and what more labelled images would bring."""

    measure: str = Field(description="What is measured, in words; empty where nothing is.")
    images: int = Field(description="That the newest version learned from.")
    versions: list[CurvePoint]
    now: Forecast | None
    ahead: list[Forecast] = Field(description="After 25, 50 and 100 more images.")
    drawn: list[Forecast] = Field(description="The curve, from the fewest images on.")
    missing: str = Field(description="Why there is no curve; empty where there is one.")
