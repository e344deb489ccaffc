import stat

import pytest

from backend.bootstrap.text import text_reading
from backend.infra.text import rapidocr


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Set up what is installed: the packages of RapidOCR, the program tesseract."""

    def install(has_rapidocr, has_tesseract):
        monkeypatch.setattr(rapidocr, "is_installed", lambda: has_rapidocr)
        monkeypatch.setenv("PATH", str(tmp_path))
        if has_tesseract:
            program = tmp_path / "tesseract"
            program.write_text("#!/bin/sh\n")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)

    return install


@pytest.mark.parametrize(
    ("named", "has_rapidocr", "has_tesseract", "engine"),
    [
        ("auto", True, True, "rapidocr"),
        ("auto", False, True, "tesseract"),
        ("auto", False, False, None),
        ("rapidocr", True, False, "rapidocr"),
        ("rapidocr", False, True, None),
        ("tesseract", True, True, "tesseract"),
        ("tesseract", True, False, None),
        ("off", True, True, None),
    ],
)
def test_the_setting_names_the_engine(machine, named, has_rapidocr, has_tesseract, engine):
    machine(has_rapidocr, has_tesseract)
    state = text_reading(named).state
    assert state.engine == engine
    assert (state.problem is None) == (engine is not None)


@pytest.mark.parametrize(
    ("named", "next_move"),
    [
        ("auto", "backend[ocr]"),
        ("rapidocr", "backend[ocr]"),
        ("tesseract", "apt-get"),
        ("off", "set it to auto"),
    ],
)
def test_without_an_engine_there_is_a_next_move(machine, named, next_move):
    machine(False, False)
    assert next_move in text_reading(named).state.problem
