"""What the documents say is held against the code: tables, paths, links, make targets, commands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from backend.cli import build_parser
from backend.settings import SETTINGS_TABLE

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"])
TEXTS = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in DOCUMENTS}
LONGEST_LINE = 120
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
README_ORDER = (
    "Run it",
    "Connect it to Label Studio",
    "Train it, ask it",
    "Settings",
    "Where to change what",
    "Tests",
    "Licence",
)


def _outside_code(text: str) -> str:
    return re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def test_readme_has_its_parts_in_order() -> None:
    headings = re.findall(r"^## (.+)$", TEXTS["README.md"], re.MULTILINE)
    assert [heading for heading in headings if heading in README_ORDER] == list(README_ORDER)


def test_readme_tables_follow_from_the_code() -> None:
    before = TEXTS["README.md"]
    program = (
        "import runpy, sys; from pathlib import Path;"
        "print(runpy.run_path('docs/generate.py')['with_tables'](Path('README.md').read_text()), end='')"
    )
    after = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert before == after.stdout, "the README's tables are stale: run `make docs`"


@pytest.mark.parametrize("name", TEXTS)
def test_paths_that_documents_name_exist(name: str) -> None:
    folders = "backend|docs|tests|deploy|benchmarks|demo|harness|scripts"
    pattern = rf"`((?:{folders})/[\w./-]*|[\w-]+\.(?:py|toml|txt|lock|yml))`"
    missing = [path for path in re.findall(pattern, TEXTS[name]) if not _exists(path)]
    assert not missing


def _exists(path: str) -> bool:
    # A bare file name may stand for one in the folder that the sentence is about.
    return (ROOT / path).exists() or ("/" not in path and any((ROOT / "backend").rglob(path)))


@pytest.mark.parametrize("name", TEXTS)
def test_links_between_documents_lead_somewhere(name: str) -> None:
    folder = (ROOT / name).parent
    links = re.findall(r"!?\[[^\]]*\]\(([^)#\s]+)[^)]*\)", _outside_code(TEXTS[name]))
    missing = [link for link in links if "://" not in link and not (folder / link).exists()]
    assert not missing


@pytest.mark.parametrize("name", TEXTS)
def test_make_targets_that_documents_name_exist(name: str) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE))
    code = " ".join(re.findall(r"```.*?```|`[^`\n]+`", TEXTS[name], re.DOTALL))
    named = set(re.findall(r"(?<!git )\bmake ([a-z0-9-]+)", code))
    assert named <= targets


@pytest.mark.parametrize("name", TEXTS)
def test_variables_that_documents_name_are_settings_or_somebody_elses(name: str) -> None:
    known = {line.name for line in SETTINGS_TABLE} | {line.older_name for line in SETTINGS_TABLE}
    known |= {"HF_HOME", "HF_TOKEN"}  # the hub library's
    # Those of Label Studio itself, whose users must set them.
    known |= {
        "ML_BLOCK_LOCAL_IP",
        "SSRF_PROTECTION_ENABLED",
        "LABEL_STUDIO_HOST",
        "LOCAL_FILES_SERVING_ENABLED",
    }
    known |= {"START_TRAINING", "LABEL_STUDIO_BIN"}
    named = set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)(?:=[^`]*)?`", TEXTS[name]))
    assert named <= known


def test_subcommands_that_documents_name_exist() -> None:
    named = {word for text in TEXTS.values() for word in re.findall(r"labelstudio-backend (\w+)", text)}
    shown = build_parser().format_help()
    listed = set(re.findall(r"^ {4}(\w+) ", shown, re.MULTILINE))
    assert {"train", "predict", "models"} <= named <= listed


@pytest.mark.parametrize("name", TEXTS)
def test_modules_that_documents_start_exist_and_know_their_options(name: str) -> None:
    wrong = []
    one_line = re.sub(r"\s+", " ", TEXTS[name])
    for module, rest in re.findall(r"python -m ((?:benchmarks|demo|scripts)[.\w]*)([^`#]*)", one_line):
        path = ROOT / module.replace(".", "/")
        source = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
        known = source.read_text(encoding="utf-8") if source.is_file() else ""
        wrong += [module] if not known else []
        wrong += [f"{module} {one}" for one in re.findall(r"--[a-z-]+", rest) if f'"{one}"' not in known]
    assert not wrong


def test_tests_that_documents_name_exist() -> None:
    named = {word for text in TEXTS.values() for word in re.findall(r"`(test_\w+)`", text)}
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert not [word for word in named if f"def {word}(" not in sources]


def test_changelog_has_an_unreleased_heading() -> None:
    assert "## Unreleased" in TEXTS["CHANGELOG.md"]


def test_decisions_are_short() -> None:
    for name, text in TEXTS.items():
        if name.startswith("docs/decisions/"):
            assert len(text) <= 2600, name


@pytest.mark.parametrize("name", TEXTS)
def test_lines_of_documents_fit_a_screen(name: str) -> None:
    # A row of a table has to be one line, and some of them are drawn from the code.
    lines = enumerate(TEXTS[name].splitlines(), start=1)
    long = [number for number, line in lines if len(line) > LONGEST_LINE and not line.startswith("|")]
    assert not long, f"lines {long} have more than {LONGEST_LINE} characters"


def test_every_make_target_is_explained() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", MAKEFILE, re.MULTILINE))
    explained = set(re.findall(r"^([a-z0-9-]+):.*## \S", MAKEFILE, re.MULTILINE))
    assert targets == explained
