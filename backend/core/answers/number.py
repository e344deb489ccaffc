"""Number: `number`, from `min` to `max` in steps of `step`, where its tag says so.

Source: Label Studio 1.23 tag reference, Number.
"""

from __future__ import annotations

import math
from dataclasses import replace

from backend.core.answers.kind import Json, NotAsked, WrittenControl
from backend.core.answers.measuring import MeasuringKind
from backend.core.answers.scales import Scale
from backend.core.regions.unusable import UnusableRegion

LARGEST = 1e15
"""Beyond it whole numbers are no longer exact."""
ANY = "a number"


class NumberKind(MeasuringKind):
    """A number, whose scale the numbers given span."""

    tag = "number"
    title = "Number"
    check_text = "a number is predicted; its score is the chance to be off by a tenth of the scale at most"

    def asked(self, written: WrittenControl) -> Json:
        """Return a scale without marks. Raises NotAsked."""
        least, most, step = (_limit(written, name) for name in ("min", "max", "step"))
        if step is not None and step <= 0:
            raise NotAsked("its step is not above 0")
        if least is not None and most is not None and least > most:
            raise NotAsked("its min is above its max")
        return Scale(step=step, least=least, most=most).as_json()

    def read(self, scale: Scale, value: Json) -> float:
        """Return the number. Raises UnusableRegion."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise UnusableRegion("bad_number")
        if not abs(value) <= LARGEST:  # neither is not-a-number
            raise UnusableRegion("bad_number")
        if value < (-math.inf if scale.least is None else scale.least) or value > (
            math.inf if scale.most is None else scale.most
        ):
            raise UnusableRegion("number_out_of_range", (f"{value:g}",))
        return float(value)

    def written(self, value: float) -> Json:
        """Return the number, a whole one without a point."""
        return int(value) if value.is_integer() else value

    def names(self, asked: Json) -> list[str]:
        """Return one name for all numbers."""
        return [ANY]

    def given(self, asked: Json, taught: Json) -> list[str]:
        """Return the name for all numbers."""
        return [ANY]

    def is_same(self, asked: Json, learned: Json) -> bool:
        """Compare limits and steps: marks come from the numbers that were learned."""
        if learned is None:
            return False
        now, then = Scale.from_json(asked), Scale.from_json(learned)
        return now == replace(then, marks=(), step=now.step)


def _limit(written: WrittenControl, name: str) -> float | None:
    text = written.attributes.get(name, "").strip()
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not abs(number) <= LARGEST:
        raise NotAsked(f"its {name} is no number")
    return number


NUMBER = NumberKind()
