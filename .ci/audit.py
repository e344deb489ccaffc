"""Judge what pip-audit found: `pip-audit --format json | python audit.py`.

A known vulnerability for which there is a fixed release fails. One without is told, and so is a database that
cannot be reached: neither is something that a commit could mend.
"""

from __future__ import annotations

import json
import sys


def main() -> int:
    """Print a line for each vulnerability and one for the whole; return the exit status."""
    try:
        dependencies = json.load(sys.stdin)["dependencies"]
    except (ValueError, KeyError, TypeError):
        print("NOT AUDITED: pip-audit gave no result; is its database out of reach?")
        return 0
    audited = [entry for entry in dependencies if "skip_reason" not in entry]
    if not audited:
        print(f"NOT AUDITED: none of the {len(dependencies)} packages could be looked up")
        return 0
    mendable = 0
    for entry in audited:
        for vulnerability in entry["vulns"]:
            fixes = ", ".join(vulnerability["fix_versions"])
            mendable += bool(fixes)
            where = f"fixed in {fixes}" if fixes else "no fixed release yet"
            print(f"{entry['name']} {entry['version']}: {vulnerability['id']}, {where}")
    print(f"audited {len(audited)} of {len(dependencies)} packages: {mendable} to be updated")
    return 1 if mendable else 0


if __name__ == "__main__":
    sys.exit(main())
