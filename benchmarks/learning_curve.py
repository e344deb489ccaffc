"""Whether 100 images measure what smaller trainings foretold: `python -m benchmarks.learning_curve`.

Reads what `learning_http` recorded: of each data set the newest trainings of one day on 10, 20, 30, 60 images
(those of them that there are) foretell the training on 100. Trains nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from backend.core.evaluation.learning_curve import CurvePoint, forecast

SMALL, LARGE = (10, 20, 30, 60), 100
MEASURES = ("box_map", "box_map50", "f1")
VAL_ERROR = 0.015
"""Standard error of a measure on the validation pictures, of which each set has some hundred objects."""
NEAR = 0.03


def main() -> None:
    """Print a line for each data set and measure, then how many lie in their range and near its middle."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("benchmarks/results/learning_http.jsonl"))
    parser.add_argument("--set", nargs="*", help="data sets; all that have enough by default")
    args = parser.parse_args()
    inside = near = total = 0
    for name, by_images in sorted(_newest(args.results).items()):
        known = [count for count in SMALL if count in by_images]
        if (args.set and name not in args.set) or LARGE not in by_images or len(known) < 2:
            continue
        for measure in MEASURES:
            points = [CurvePoint(count, by_images[count][measure], VAL_ERROR) for count in known]
            [said] = forecast(points, [LARGE])
            came = by_images[LARGE][measure]
            is_inside = said.low <= came <= said.high
            inside, near, total = inside + is_inside, near + (abs(came - said.middle) <= NEAR), total + 1
            from_what = ", ".join(f"{point.measure:.3f} at {point.images}" for point in points)
            print(
                f"{name:10} {measure:10} from {from_what}: {said.low:.3f} to {said.high:.3f}, "
                f"middle {said.middle:.3f}; came {came:.3f}{'' if is_inside else ', outside'}"
            )
    print(f"{inside} of {total} in the range of 80 %, {near} within {NEAR} of its middle")


def _newest(results: Path) -> dict[str, dict[int, dict[str, float]]]:
    """Return the measures of the newest run of each data set and size, of the newest day."""
    runs = [json.loads(line) for line in results.read_text().splitlines()]
    day = max(run["time"] for run in runs)[:10]
    found: dict[str, dict[int, dict[str, float]]] = {}
    for run in runs:
        if run["time"][:10] == day:
            f1 = 2 * run["precision"] * run["recall"] / max(run["precision"] + run["recall"], 1e-9)
            measures = {"box_map": run["box_map"], "box_map50": run["box_map50"], "f1": f1}
            found.setdefault(run["set"], {})[run["images"]] = measures
    return found


if __name__ == "__main__":
    main()
