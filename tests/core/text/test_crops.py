import cv2
import numpy as np
import pytest

from backend.core.text.crops import MOST_HEIGHT_PX, MOST_TIMES_AS_LONG, cut_out


def quad(x1, y1, x2, y2):
    return np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)


def page():
    image = np.full((120, 300, 3), 255, np.uint8)
    cv2.putText(image, "AB", (100, 70), cv2.FONT_HERSHEY_SIMPLEX, 1, (0, 0, 0), 2)
    return image


def test_an_upright_box_is_cut_out_as_it_is():
    assert np.abs(cut_out(page(), quad(90, 40, 160, 80)).astype(int) - page()[40:80, 90:160]).max() <= 2


def test_turned_text_is_cut_out_upright():
    matrix = cv2.getRotationMatrix2D((125, 60), -25, 1.0)
    turned = cv2.warpAffine(page(), matrix, (300, 120), borderValue=(255, 255, 255))
    corners = (quad(90, 40, 160, 80) @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    difference = cut_out(turned, corners).astype(int) - page()[40:80, 90:160]
    assert np.abs(difference).mean() < 8


def test_text_that_runs_down_is_turned_to_run_to_the_right():
    running_down = np.ascontiguousarray(np.rot90(page()[40:80, 90:160], -1))
    upright = cut_out(running_down, quad(0, 0, 40, 70))
    assert np.abs(upright.astype(int) - page()[40:80, 90:160]).mean() < 8


@pytest.mark.parametrize("box", [(0, 0, 4000, 2), (0, 0, 3, 3), (-50, -50, 5000, 900), (10, 10, 10, 10)])
def test_a_cut_out_is_never_larger_than_a_reader_needs(box):
    crop = cut_out(page(), quad(*box))
    assert 1 <= crop.shape[0] <= MOST_HEIGHT_PX
    assert 1 <= crop.shape[1] <= MOST_TIMES_AS_LONG * crop.shape[0]
