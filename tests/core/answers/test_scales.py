import numpy as np
import pytest

from backend.core.answers.asked import read_asked
from backend.core.answers.scales import Estimate, Scale

STARS = Scale((1.0, 2.0, 3.0, 4.0, 5.0), are_all=True)


def test_a_scale_goes_through_json():
    for scale in (STARS, Scale(step=0.5, least=0.0, most=9.0)):
        assert read_asked(scale.as_json()) == scale


def test_whole_numbers_that_lie_close_are_marks_themselves():
    scale = Scale().spanned_by([3.0, 7.0, 4.0])
    assert scale.marks == (3, 4, 5, 6, 7) and scale.step == 1


def test_other_numbers_are_spanned_evenly():
    scale = Scale().spanned_by([0.5, 10.5, 3.0])
    assert scale.marks[0] == 0.5 and scale.marks[-1] == 10.5 and scale.step is None


@pytest.mark.parametrize("seen", [[], [4.5]], ids=["none", "one"])
def test_few_numbers_span_what_they_can(seen):
    scale = Scale().spanned_by(seen)
    assert scale.marks == tuple(seen)
    assert scale.length == 0 and (not seen or scale.found([1.0]).value == 4.5)


def test_what_is_taught_is_nearest_to_its_value_and_adds_up():
    wanted = STARS.wanted(4.0)
    assert wanted.argmax() == 3 and wanted[3] > 2 * wanted[4] > wanted[1]
    assert wanted.sum() == pytest.approx(1)


def test_a_number_between_points_is_taught_between_them():
    scale = Scale().spanned_by([0.0, 100.5])
    assert scale.found(scale.wanted(40.0)).value == pytest.approx(40.0, abs=1)


def test_the_stars_that_were_found_are_the_median():
    found = Estimate(STARS, (0.1, 0.3, 0.3, 0.2, 0.1))
    assert found.value == 3 and found.score == pytest.approx(0.3)


def test_a_number_is_the_mean_and_its_score_the_chance_to_be_near():
    scale = Scale().spanned_by([0.0, 1.0, 2.0, 3.0, 4.0, 10.0])
    found = scale.found(np.eye(11)[4] * 0.9 + np.eye(11)[5] * 0.1)
    assert found.value == 4  # whole numbers were given, so whole ones are found
    assert found.score == pytest.approx(1.0)


def test_numbers_keep_to_their_limits_and_steps():
    scale = Scale(step=0.25, least=1.0, most=2.0).spanned_by([1.1, 1.9])
    assert scale.rounded(1.6) == 1.5 and scale.rounded(7.0) == 2.0
    assert Scale().spanned_by([0.0, 1000.5]).rounded(3.14159) == 3


def test_near_values_agree_in_part():
    assert STARS.nearness(3, 3) == 1 and STARS.nearness(3, 4) == 0.5 and STARS.nearness(1, 5) == 0


def test_several_images_share_one_value():
    both = [Estimate(STARS, (0, 0, 0, 0, 1.0)), Estimate(STARS, (0, 0, 0, 0.5, 0.5))]
    assert Estimate.mean(both).chances == (0, 0, 0, 0.25, 0.75)
