"""The page's modules: which are named in the page, and who knows the kinds of regions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from backend.core.regions.kinds import KINDS
from tests.panel_fakes import make_panel_services
from tests.web.panel.conftest import client_of

STATIC = Path(__file__).parents[3] / "backend" / "web" / "panel" / "static"
REGIONS = STATIC / "regions"
OTHERS = [path for path in sorted(STATIC.rglob("*.js")) if REGIONS not in path.parents]
NAMES = "|".join(kind.name for kind in KINDS)
# What only a kind's values hold, in quotes, behind a dot or as a property.
FIELDS = r"(?<=[.\"'])(?:points|closed|radiusX|radiusY|rle|imageDataURL|vertices)\b"


def test_the_page_names_every_module_that_it_loads_and_no_worker(tmp_path):
    page = client_of(make_panel_services(tmp_path)).get("/panel").text
    preloaded = set(re.findall(r'modulepreload" href="/panel/static/([^"]+)"', page))
    imported = {"main.js"}
    waiting = ["main.js"]
    while waiting:
        path = STATIC / waiting.pop()
        for name in re.findall(r'from "(\./[^"]+|\.\./[^"]+)"', path.read_text()):
            found = (path.parent / name).resolve().relative_to(STATIC).as_posix()
            if found not in imported:
                imported.add(found)
                waiting.append(found)
    assert preloaded == imported
    assert "regions/index.js" in preloaded and not any("worker" in name for name in preloaded)


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.relative_to(STATIC).as_posix())
def test_no_other_module_names_a_kind_of_region(path):
    assert not re.findall(rf"(?i:{NAMES})|{FIELDS}", path.read_text())


def test_each_kind_has_a_module_in_the_list():
    listed = (REGIONS / "index.js").read_text()
    for kind in KINDS:
        assert f'"./{kind.name}.js"' in listed
        module = (REGIONS / f"{kind.name}.js").read_text()
        assert f'name: "{kind.name}"' in module
        assert f"isPainted: {str(kind.is_painted).lower()}" in module
