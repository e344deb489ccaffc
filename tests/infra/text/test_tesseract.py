import stat
import sys

import numpy as np
import pytest

from backend.errors import TextReadingError
from backend.infra.text import tesseract
from backend.infra.text.tesseract import TesseractReader

HEADER = "level page_num block_num par_num line_num word_num left top width height conf text"
ROWS = [
    "1 1 0 0 0 0 0 0 200 100 -1 ",
    "4 1 1 1 1 0 10 20 90 12 -1 ",
    "5 1 1 1 1 1 10 20 40 12 96.5 TOTAL",
    "5 1 1 1 1 2 60 21 40 12 83.5 12.50",
    "5 1 1 1 2 1 10 60 40 12 91 DATE",
    "5 1 1 1 2 2 x 60 40 12 91 broken",
    "5 1 1 1 2 3 60 60 40 12 91  ",
]
TABLE = "\n".join(row.replace(" ", "\t") for row in [HEADER, *ROWS]) + "\n"


@pytest.fixture
def program(tmp_path):
    """A program that takes what tesseract takes, checks that it is a picture, and answers with a table."""

    def write(body):
        path = tmp_path / "tesseract"
        path.write_text(f"#!{sys.executable}\nimport sys, time\npicture = sys.stdin.buffer.read()\n{body}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return write


ANSWERS = f"""
assert picture.startswith(b"\\x89PNG"), "no picture"
assert sys.argv[1:4] == ["stdin", "stdout", "--psm"] and sys.argv[5] == "tsv", sys.argv
sys.stdout.write({TABLE!r})
"""
PICTURE = np.full((100, 200, 3), 255, np.uint8)


def test_words_of_one_line_are_one_line(program):
    first, second = TesseractReader(program(ANSWERS)).find_lines(PICTURE)
    assert first.box_xyxy_px.tolist() == [10, 20, 100, 33]
    assert first.score == pytest.approx(0.9)
    assert second.box_xyxy_px.tolist() == [10, 60, 50, 72]


def test_a_cut_out_is_read_word_by_word(program):
    [read] = TesseractReader(program(ANSWERS)).read([PICTURE])
    assert read.text == "TOTAL 12.50 DATE"
    assert read.score == pytest.approx((0.965 + 0.835 + 0.91) / 3)


def test_nothing_is_read_where_nothing_stands(program):
    [read] = TesseractReader(program(f"print({HEADER!r})")).read([PICTURE])
    assert (read.text, read.score) == ("", 0.0)


def test_a_program_that_fails_says_why(program):
    with pytest.raises(TextReadingError, match=r"status 1: eng\.traineddata is missing"):
        TesseractReader(program("sys.exit('eng.traineddata is missing')")).find_lines(PICTURE)
    with pytest.raises(TextReadingError, match="cannot be started"):
        TesseractReader("/nonexistent/tesseract").find_lines(PICTURE)


def test_a_program_that_hangs_is_ended(program, monkeypatch):
    monkeypatch.setattr(tesseract, "WITHIN_S", 0.5)
    with pytest.raises(TextReadingError, match=r"more than 0\.5 s"):
        TesseractReader(program("time.sleep(60)")).find_lines(PICTURE)
