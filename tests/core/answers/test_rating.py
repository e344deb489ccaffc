import pytest

from backend.core.answers.kind import NotAsked, WrittenControl
from backend.core.answers.rating import RATING
from backend.core.answers.scales import Scale
from backend.core.regions.unusable import UnusableRegion

ASKED = RATING.asked(WrittenControl({"maxrating": "4"}))
FOUND = Scale.from_json(ASKED).found((0.0, 0.1, 0.8, 0.1))


def test_five_stars_where_the_tag_does_not_say():
    assert RATING.names(RATING.asked(WrittenControl({}))) == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("most", ["0", "many", "-3", "1000", "9" * 5000])
def test_a_nonsensical_maximum_is_not_learned_and_says_why(most):
    with pytest.raises(NotAsked, match="maxRating"):
        RATING.asked(WrittenControl({"maxrating": most}))


@pytest.mark.parametrize("stars", [3, 3.0])
def test_stars_teach_their_number(stars):
    assert RATING.taught(ASKED, [{"rating": stars}]) == 3


def test_without_stars_nothing_is_taught():
    assert RATING.taught(ASKED, []) is None


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([{"rating": 5}], "rating_out_of_range"),
        ([{"rating": 0}], "rating_out_of_range"),
        ([{"rating": 1e300}], "rating_out_of_range"),
        ([{"rating": 2.5}], "bad_answer"),
        ([{"rating": "3"}], "bad_answer"),
        ([{"rating": True}], "bad_answer"),
        ([{"rating": float("nan")}], "bad_answer"),
        ([{"rating": 10**400}], "rating_out_of_range"),
        ([{}], "bad_answer"),
        ([{"rating": 1}, {"rating": 2}], "several_values"),
    ],
)
def test_what_is_no_rating_is_told(values, reason):
    with pytest.raises(UnusableRegion) as caught:
        RATING.taught(ASKED, values)
    assert caught.value.reason == reason


def test_the_stars_are_written_as_a_whole_number_with_their_chance():
    (answer,) = RATING.answers(ASKED, FOUND, 0.5)
    assert answer.value == {"rating": 3} and isinstance(answer.value["rating"], int)
    assert answer.score == pytest.approx(0.8)
    assert RATING.answers(ASKED, FOUND, 0.9) == []


def test_a_star_off_is_half_right():
    assert RATING.agreement(ASKED, 3.0, FOUND, 0.5)[2] == (1.0, 1.0, 1.0)
    assert RATING.agreement(ASKED, 4.0, FOUND, 0.5)[3] == (0.5, 1.0, 1.0)
    assert RATING.agreement(ASKED, 4.0, None, 0.5)[3] == (0.0, 0.0, 1.0)
