from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from backend.core.text.crops import cut_out
from backend.errors import TextReadingError
from backend.infra.text import rapidocr
from backend.infra.text.rapidocr import RapidOcrReader


@pytest.fixture(scope="module")
def reader():
    return RapidOcrReader()


EMPTY = SimpleNamespace(boxes=None, scores=None)


def receipt():
    page = np.full((160, 360, 3), 255, np.uint8)
    cv2.putText(page, "INVOICE", (20, 50), cv2.FONT_HERSHEY_DUPLEX, 1.2, (0, 0, 0), 2)
    cv2.putText(page, "TOTAL 12.50", (20, 120), cv2.FONT_HERSHEY_DUPLEX, 1.0, (0, 0, 0), 2)
    return page


def test_lines_are_found_where_they_are_and_read(reader):
    page = receipt()
    lines = sorted(reader.find_lines(page), key=lambda line: line.box_xyxy_px[1])
    assert len(lines) == 2
    x1, y1, x2, y2 = lines[0].box_xyxy_px.tolist()
    assert 10 <= x1 <= 25 and 15 <= y1 <= 30 and 165 <= x2 <= 195 and 48 <= y2 <= 62
    read = reader.read([cut_out(page, line.corners_px) for line in lines])
    assert [text.text.replace(" ", "") for text in read] == ["INVOICE", "TOTAL12.50"]
    assert min(text.score for text in read) > 0.8


def test_text_on_its_head_is_read(reader):
    page = receipt()[70:140, 10:280]
    [read] = reader.read([np.ascontiguousarray(page[::-1, ::-1])])
    assert read.text.replace(" ", "") == "TOTAL12.50"


@pytest.mark.parametrize("is_tall", [True, False])
def test_a_strip_is_looked_at_in_bounded_memory(reader, monkeypatch, is_tall):
    seen = []
    strip = np.full((3000, 60, 3) if is_tall else (60, 3000, 3), 255, np.uint8)
    strip[20:40, 20:40] = 0
    monkeypatch.setattr(reader, "_engine", lambda image, **steps: seen.append(image.shape) or EMPTY)
    assert reader.find_lines(strip) == []
    assert sorted(seen[0][:2]) == [750, 3000]


def test_an_empty_page_has_no_lines(reader):
    assert reader.find_lines(np.full((80, 80, 3), 255, np.uint8)) == []
    assert reader.read([]) == []
    [nothing] = reader.read([np.full((1, 1, 3), 255, np.uint8)])
    assert nothing.text.strip() == "" or nothing.score < 0.9


def test_a_failure_inside_says_what_failed(monkeypatch):
    def broken():
        raise RuntimeError("no such model")

    monkeypatch.setattr(rapidocr, "_load", broken)
    with pytest.raises(TextReadingError, match="rapidocr failed with RuntimeError: no such model"):
        RapidOcrReader().find_lines(receipt())
