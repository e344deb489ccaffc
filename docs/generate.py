"""Write the tables of the README that follow from the code: `make docs`. A test compares them."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from backend.settings import SETTINGS_TABLE  # noqa: E402
from backend.training.parameters import ParameterField, TrainingParams, plain_number  # noqa: E402


def settings_table() -> str:
    """Return the table of environment variables."""
    rows = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{line.name}` | {line.type_name} | {line.default} | {line.meaning} |" for line in SETTINGS_TABLE
    ]
    return "\n".join(rows)


def parameters_table() -> str:
    """Return the table of training parameters."""
    rows = ["| name | values | default | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{field.name}` | {_values(field)} | {_default(field.default)} | {field.explanation} |"
        for field in TrainingParams.fields()
    ]
    return "\n".join(rows)


def _values(field: ParameterField) -> str:
    if field.choices is not None:
        return ", ".join(map(str, field.choices))
    if field.minimum is not None and field.maximum is not None:
        return f"{plain_number(field.minimum)} to {plain_number(field.maximum)}"
    return {"boolean": "true, false", "list": "list of ids"}.get(field.type, "text")


def _default(value: object) -> str:
    if value is None:
        return "unset"
    return str(value).lower() if isinstance(value, bool) else str(value)


TABLES = {"settings": settings_table, "parameters": parameters_table}


def with_tables(text: str) -> str:
    """Return a document with the tables between its marks made anew."""
    for name, table in TABLES.items():
        pattern = rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)"
        text = re.sub(
            pattern, lambda found, table=table: f"{found[1]}{table()}\n{found[2]}", text, flags=re.DOTALL
        )
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(with_tables(readme.read_text(encoding="utf-8")), encoding="utf-8")
