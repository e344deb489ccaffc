"""Print one pytest summary line over several junit files: `python summary.py SECONDS FILE...`."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main(seconds: str, *names: str) -> int:
    """Add the counts up; a file that is missing (the run never began) counts as one error.

    Where `x-again.xml` stands beside `x.xml`, it has the second try of what failed, and that one counts.
    """
    totals = dict.fromkeys(("passed", "failures", "errors", "skipped"), 0)
    for name in names:
        path = Path(name)
        counts = _counts(path)
        again = path.with_name(f"{path.stem}-again.xml")
        if again.is_file():
            second = _counts(again)
            counts = {
                "passed": counts["passed"] + second["passed"],
                "failures": second["failures"],
                "errors": second["errors"],
                "skipped": counts["skipped"],
            }
        for key in totals:
            totals[key] += counts[key]
    parts = [f"{totals['failures']} failed"] if totals["failures"] else []
    parts.append(f"{totals['passed']} passed")
    parts += [f"{totals['skipped']} skipped"] if totals["skipped"] else []
    parts += [f"{totals['errors']} errors"] if totals["errors"] else []
    print(f"{', '.join(parts)} in {seconds}s")
    return 1 if totals["failures"] or totals["errors"] or not totals["passed"] else 0


def _counts(path: Path) -> dict[str, int]:
    if not path.is_file():
        return {"passed": 0, "failures": 0, "errors": 1, "skipped": 0}
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in ElementTree.parse(path).iter("testsuite"):
        for key in counts:
            counts[key] += int(suite.get(key, 0))
    bad = counts["failures"] + counts["errors"] + counts["skipped"]
    return {"passed": max(counts.pop("tests") - bad, 0), **counts}


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
