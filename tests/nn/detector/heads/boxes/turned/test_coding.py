import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.core.geometry.turned_boxes import turned_bounds, turned_iou
from backend.nn.detector.heads.boxes.turned.coding import codes_to_turned, turned_to_codes

rows = st.tuples(
    st.floats(50, 60), st.floats(50, 60), st.floats(4, 60), st.floats(4, 60), st.floats(-360, 360)
)


def as_rows(*boxes):
    return np.array(boxes, np.float32)


@settings(max_examples=80, deadline=None)
@given(rows)
def test_a_code_and_the_box_around_it_give_the_rectangle_back(row):
    box = as_rows(row)
    back = codes_to_turned(turned_to_codes(box), turned_bounds(box))
    assert turned_iou(box, back)[0, 0] > 0.99


@settings(max_examples=40, deadline=None)
@given(rows, st.integers(-3, 3))
def test_all_rows_of_one_rectangle_have_one_code(row, quarters):
    box, same = as_rows(row), as_rows(row)
    same[0, 4] += 90 * quarters
    if quarters % 2:
        same[0, 2:4] = box[0, 3:1:-1]
    np.testing.assert_allclose(turned_to_codes(same), turned_to_codes(box), atol=1e-3)


def test_a_code_changes_little_where_the_rectangle_does():
    """Beside half a turn, where an angle jumps, and about a square, whose longer side changes."""
    before = as_rows((0, 0, 30, 10, 89.9), (0, 0, 10.01, 10, 20), (0, 0, 30, 10, 44.9))
    after = as_rows((0, 0, 30, 10, -89.9), (0, 0, 10, 10.01, 20), (0, 0, 30, 10, 45.1))
    assert np.abs(turned_to_codes(before) - turned_to_codes(after)).max() < 0.02


@pytest.mark.parametrize("degrees", [-30, 10, 40])
def test_a_square_keeps_its_angle(degrees):
    box = as_rows((50, 50, 20, 20, degrees))
    found = codes_to_turned(turned_to_codes(box), turned_bounds(box))
    assert found[0, 4] == pytest.approx(degrees, abs=0.1)


def test_a_code_of_nothing_is_an_upright_square_with_the_area_of_the_box():
    (found,) = codes_to_turned(np.zeros((1, 4), np.float32), as_rows((0, 0, 20, 5)))
    np.testing.assert_allclose(found, (10, 2.5, 10, 10, 0), atol=1e-4)
