"""Print one pytest summary line over several junit files: `python summary.py SECONDS FILE...`."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path


def main(seconds: str, *names: str) -> int:
    """Add the counts up; a file that is missing (the run never began) counts as one error."""
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for name in names:
        if not Path(name).is_file():
            counts["errors"] += 1
            continue
        for suite in ElementTree.parse(name).iter("testsuite"):
            for key in counts:
                counts[key] += int(suite.get(key, 0))
    passed = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
    parts = [f"{counts['failures']} failed"] if counts["failures"] else []
    parts.append(f"{max(passed, 0)} passed")
    parts += [f"{counts['skipped']} skipped"] if counts["skipped"] else []
    parts += [f"{counts['errors']} errors"] if counts["errors"] else []
    print(f"{', '.join(parts)} in {seconds}s")
    return 1 if counts["failures"] or counts["errors"] or not passed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
