"""No module but a kind's own names its tag or the fields of its values: what is left here has a reason."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.core.regions.kinds import KINDS

BACKEND = Path(__file__).parents[3] / "backend"
REGIONS = BACKEND / "core" / "regions"
# What only these kinds' values hold; x, y, width and height are everybody's words.
VALUE_FIELDS = {"points", "closed", "radiusX", "radiusY", "rle", "imageDataURL", "vertices"}
TAGS = {kind.name for kind in KINDS} | {kind.labels_tag for kind in KINDS}
TAGS |= {title.lower() for kind in KINDS for title in kind.other_titles}
KIND_MODULES = {path.stem for path in REGIONS.glob("*.py")} & {kind.name for kind in KINDS}
# Module -> why it may say such a word.
EXCEPTIONS = {
    "training/parameters.py": "tells people in words what a switch teaches",
    "web/panel/job_schemas.py": "describes in words what is counted",
    "training/prompts/tuning.py": "tells people in words what to draw",
}


def _modules() -> list[Path]:
    return [path for path in sorted(BACKEND.rglob("*.py")) if path.parent != REGIONS]


def _words(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield every text of a module but its docstrings, with its line."""
    prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value


def _named(text: str) -> set[str]:
    words = re.findall(r"[A-Za-z]+", text)
    known = VALUE_FIELDS | TAGS
    return {word for word in words if {word, word.lower(), word.lower().removesuffix("s")} & known}


def _kind_imports(tree: ast.Module) -> list[tuple[int, str | None]]:
    wanted = {f"backend.core.regions.{name}" for name in KIND_MODULES}
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return [(node.lineno, node.module) for node in imports if node.module in wanted]


@pytest.mark.parametrize("path", _modules(), ids=lambda path: str(path.relative_to(BACKEND)))
def test_no_other_module_names_a_kind(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = [(line, sorted(named)) for line, text in _words(tree) if (named := _named(text))]
    assert not _kind_imports(tree), "loop over kinds.KINDS instead"
    if str(path.relative_to(BACKEND)) in EXCEPTIONS:
        assert found, "nothing is named here any more: take it out of EXCEPTIONS"
    else:
        assert not found, f"{path.relative_to(BACKEND)} names kinds of regions"


def test_the_search_finds_what_it_looks_for():
    tree = ast.parse('"""points"""\nkind == "brushlabels"\nvalue["rle"]\nf"draw {n} Polygons"')
    assert [line for line, text in _words(tree) if _named(text)] == [2, 3, 4]
    assert {kind.name for kind in KINDS} == KIND_MODULES
