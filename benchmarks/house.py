"""How the code is laid out: files, folders, lengths, arrows between rooms, and who names what.

    python -m benchmarks.house [--root CHECKOUT]

An arrow is one module that imports another one; imports under `TYPE_CHECKING` count as well. A circle is a
group of rooms (or modules) that reach each other. Reads files as text and runs nothing of the checkout, so
that any earlier commit can be measured beside today's:

    git worktree add ../before <commit> && python -m benchmarks.house --root ../before
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from statistics import median

KINDS_OF_REGION = re.compile(
    r"""["'](?:rectangle|ellipse|polygon|brush)(?:labels)?["']|(?:Rectangle|Ellipse|Polygon|Brush)Labels["']"""
)


def modules_of(root: Path) -> dict[str, Path]:
    """Return the path of every module of the product by its dotted name."""
    paths = [*sorted((root / "backend").rglob("*.py")), root / "model.py", root / "_wsgi.py"]
    found = {}
    for path in paths:
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path, known: dict[str, Path]) -> Iterator[str]:
    """Yield the modules of the product that a file imports; the product uses no relative imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in known:
                    yield full
                elif node.module in known:
                    yield node.module


def rooms_of(modules: dict[str, Path]) -> dict[str, str]:
    """Return the room of every module, as a dotted name.

    A room is a folder two levels below the root at most (`backend.nn.detector` with all its heads). A module
    that stands beside folders with modules, such as `backend.errors`, is a room by itself.
    """
    folders = {name.rpartition(".")[0] for name, path in modules.items() if path.name != "__init__.py"}
    with_folders = {folder.rpartition(".")[0] for folder in folders}
    rooms = {}
    for name, path in modules.items():
        folder = name if path.name == "__init__.py" else name.rpartition(".")[0]
        is_alone = folder in with_folders and folder.count(".") < 2
        rooms[name] = name if is_alone or not folder else ".".join(folder.split(".")[:3])
    return rooms


def circles(arrows: set[tuple[str, str]]) -> list[list[str]]:
    """Return the groups of two or more nodes that reach each other."""
    after: dict[str, set[str]] = {}
    for start, end in arrows:
        after.setdefault(start, set()).add(end)
        after.setdefault(end, set())

    def reached(start: str) -> set[str]:
        seen: set[str] = set()
        waiting = [start]
        while waiting:
            for node in after[waiting.pop()] - seen:
                seen.add(node)
                waiting.append(node)
        return seen

    reach = {node: reached(node) for node in after}
    groups = {frozenset({node, *(other for other in reach[node] if node in reach[other])}) for node in reach}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def functions_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (lines without the docstring, name) of every function of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if ast.get_docstring(node, clean=False) is not None:
                first = node.body[0]
                lines -= (first.end_lineno or first.lineno) - first.lineno + 1
            yield lines, node.name


def measure(root: Path) -> dict:
    """Return the figures of one checkout."""
    modules = modules_of(root)
    code = {name: path for name, path in modules.items() if path.stat().st_size}
    lengths = sorted(
        (len(path.read_text(encoding="utf-8").splitlines()), name) for name, path in code.items()
    )
    functions = sorted((n, f"{name}.{f}") for name, path in code.items() for n, f in functions_of(path))
    arrows = {(name, other) for name, path in code.items() for other in imports_of(path, modules)}
    arrows = {(start, end) for start, end in arrows if start != end}
    rooms = rooms_of(modules)
    crossing = {(start, end) for start, end in arrows if rooms[start] != rooms[end]}
    leaving = Counter(rooms[start] for start, _ in crossing)
    named = {
        kind: sorted(
            path.relative_to(root).as_posix()
            for path in [*code.values(), *sorted((root / "backend" / "web").rglob("*.js"))]
            if pattern.search(path.read_text(encoding="utf-8"))
        )
        for kind, pattern in {
            "a kind of region": KINDS_OF_REGION,
            "the parameter nms_threshold": re.compile(r"\bnms_threshold\b"),
        }.items()
    }
    return {
        "files": len(code),
        "folders": len({path.parent for path in code.values()}),
        "most_files_in_a_folder": max(Counter(path.parent for path in code.values()).values()),
        "lines": sum(n for n, _ in lengths),
        "file_median_lines": median(n for n, _ in lengths),
        "file_longest": lengths[-1],
        "function_median_lines": median(n for n, _ in functions),
        "function_longest": functions[-1],
        "arrows": len(arrows),
        "arrows_between_rooms": len(crossing),
        "arrows_leaving": dict(sorted(leaving.items())),
        "circles_of_rooms": circles({(rooms[start], rooms[end]) for start, end in crossing}),
        "circles_of_modules": circles(arrows),
        "files_that_name": {kind: [len(files), files] for kind, files in named.items()},
        "operations_tables_lines": sum(
            len(path.read_text(encoding="utf-8").splitlines())
            for path in (root / "backend" / "web").rglob("*operations*.py")
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1])
    print(json.dumps(measure(parser.parse_args().root.resolve()), indent=1))


if __name__ == "__main__":
    main()
