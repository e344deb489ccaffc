"""A training parameter is declared in one file: nothing else names titles, ranges or explanations."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backend.training.parameters import PARAMETERS

ROOT = Path(__file__).resolve().parent.parent
DECLARATION = ROOT / "backend/training/parameters.py"
PYTHON = sorted({*ROOT.glob("backend/**/*.py"), ROOT / "docs/generate.py", ROOT / "model.py"} - {DECLARATION})
JAVASCRIPT = sorted(ROOT.glob("backend/web/panel/**/*.js"))
NEW = """
    patience: Annotated[int, _Whole] = parameter(
        7, "Patience", "Epochs without progress before it ends.", "training", ge=2, le=90
    )
"""
ASK = """
import json, runpy, sys
from _wsgi import app
client = app.test_client()
address = "/api/projects/7.1763750000/settings"
refused = client.patch(address, json={"params": {"patience": 1}})
saved = client.patch(address, json={"params": {"patience": 5}})
generate = runpy.run_path("docs/generate.py")
print(json.dumps({
    "refused": [refused.status_code, refused.json],
    "form": saved.json,
    "document": client.get("/openapi.json").json,
    "table": generate["parameters_table"](),
    "heavy": [name for name in ("torch", "timm") if name in sys.modules],
}))
"""


@pytest.fixture(scope="module")
def with_new_parameter(tmp_path_factory):
    """What a copy of the program says whose declaration has one more parameter, and nothing else changed."""
    copy = tmp_path_factory.mktemp("copy")
    shutil.copytree(
        ROOT / "backend", copy / "backend", ignore=shutil.ignore_patterns("weights", "__pycache__")
    )
    (copy / "docs").mkdir()
    shutil.copy(ROOT / "docs/generate.py", copy / "docs")
    shutil.copy(ROOT / "_wsgi.py", copy)
    declaration = copy / DECLARATION.relative_to(ROOT)
    before, mark, after = declaration.read_text(encoding="utf-8").partition("    @model_validator")
    declaration.write_text(before + NEW + "\n" + mark + after, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=copy,
        env={"PYTHONPATH": ".", "DATA_DIR": str(copy / "data")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_new_parameter_is_checked_and_saved(with_new_parameter):
    status, body = with_new_parameter["refused"]
    assert (status, body["field"]) == (400, "patience")
    assert body["error"] == "patience must be a whole number from 2 to 90, got '1'"
    assert with_new_parameter["form"]["saved"]["params"] == {"patience": 5}
    assert with_new_parameter["heavy"] == []


def test_a_new_parameter_stands_in_the_form(with_new_parameter):
    [field] = [field for field in with_new_parameter["form"]["fields"] if field["name"] == "patience"]
    assert field == {
        "name": "patience",
        "title": "Patience",
        "type": "integer",
        "default": 7,
        "explanation": "Epochs without progress before it ends.",
        "minimum": 2,
        "maximum": 90,
        "choices": None,
        "tab": "training",
    }
    assert with_new_parameter["form"]["effective"]["patience"] == 5


@pytest.mark.parametrize("body", ["TrainBody", "TrainProjectBody", "SettingsBody"])
def test_a_new_parameter_stands_in_the_description(with_new_parameter, body):
    schema = with_new_parameter["document"]["components"]["schemas"][body]["properties"]["params"]
    params = schema["anyOf"][0] if "anyOf" in schema else schema
    described = params["properties"]["patience"]
    limits = described["anyOf"][0] if "anyOf" in described else described
    assert (limits["type"], limits["minimum"], limits["maximum"]) == ("integer", 2, 90)
    assert (described["title"], described["default"]) == ("Patience", 7)


def test_a_new_parameter_stands_in_the_table(with_new_parameter):
    line = "| `patience` | 2 to 90 | 7 | Epochs without progress before it ends. |"
    assert line in with_new_parameter["table"].splitlines()


@pytest.mark.parametrize("path", PYTHON, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_other_python_file_declares_a_parameter(path):
    """No table holds words or ranges of a parameter: `{"epochs": "Passes"}`, `{"epochs": (1, 500)}`."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    texts = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert not _words() & set(texts)
    declared = [
        f"{key.value} in line {key.lineno}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value in PARAMETERS and _is_constant(value)
    ]
    assert not declared


@pytest.mark.parametrize("path", JAVASCRIPT, ids=lambda path: path.name)
def test_no_script_declares_a_parameter(path):
    text = path.read_text(encoding="utf-8")
    assert not [words for words in _words() if f'"{words}"' in text]
    declared = [name for name in PARAMETERS if re.search(rf"\b{name}\"?:\s*[\"'\[{{\d]", text)]
    assert not declared


def test_the_readme_explains_parameters_in_its_table_only():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    outside = re.sub(r"<!-- parameters:begin -->.*?<!-- parameters:end -->", "", text, flags=re.DOTALL)
    assert not [field.name for field in PARAMETERS.values() if field.explanation in outside]
    assert not re.search(rf"^\| `({'|'.join(PARAMETERS)})` \|", outside, re.MULTILINE)


def _words() -> set[str]:
    return {words for field in PARAMETERS.values() for words in (field.title, field.explanation)}


def _is_constant(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    return isinstance(node, ast.Tuple | ast.List | ast.Dict) and all(
        isinstance(part, ast.Constant | ast.Tuple | ast.List | ast.Dict | ast.Load | ast.UnaryOp | ast.USub)
        for part in ast.walk(node)
    )
