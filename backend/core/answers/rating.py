"""Rating: `rating`, a number of stars from 1 to `maxRating`. 0 stars are none.

Source: Label Studio 1.23 tag reference, Rating; five stars where it does not say how many.
"""

from __future__ import annotations

from backend.core.answers.kind import Json, NotAsked, WrittenControl
from backend.core.answers.measuring import MeasuringKind
from backend.core.answers.scales import Scale
from backend.core.regions.unusable import UnusableRegion
from backend.core.regions.values import parse_whole_number

USUAL_STARS = 5
MOST_STARS = 100


class RatingKind(MeasuringKind):
    """A number of stars."""

    tag = "rating"
    title = "Rating"
    check_text = "the likeliest number of stars is predicted, with its chance as score"

    def asked(self, written: WrittenControl) -> Json:
        """Return the scale of stars. Raises NotAsked."""
        text = written.attributes.get("maxrating", "").strip()
        most = parse_whole_number(text) if text else USUAL_STARS
        if most is None or not 1 <= most <= MOST_STARS:
            raise NotAsked(f"its maxRating is no number from 1 to {MOST_STARS}")
        stars = range(1, most + 1)
        return Scale(tuple(float(star) for star in stars), are_all=True).as_json()

    def read(self, scale: Scale, value: Json) -> float:
        """Return the stars. Raises UnusableRegion."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UnusableRegion("bad_answer")
        if isinstance(value, float) and not value.is_integer():
            raise UnusableRegion("bad_answer")
        if value not in scale.marks:
            raise UnusableRegion("rating_out_of_range", (str(int(value))[:20],))
        return float(value)

    def written(self, value: float) -> Json:
        """Return the stars."""
        return int(value)

    def names(self, asked: Json) -> list[str]:
        """Return every number of stars."""
        return [str(int(mark)) for mark in Scale.from_json(asked).marks]

    def given(self, asked: Json, taught: Json) -> list[str]:
        """Return the number of stars."""
        return [str(int(taught))]


RATING = RatingKind()
