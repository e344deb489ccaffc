import pytest

from backend.core.answers.kind import NotAsked, WrittenControl
from backend.core.answers.number import NUMBER
from backend.core.answers.scales import Scale
from backend.core.regions.unusable import UnusableRegion

ASKED = NUMBER.asked(WrittenControl({"min": "0", "max": "100"}))
LEARNED = Scale.from_json(ASKED).spanned_by([0.0, 1.0, 4.0]).as_json()


@pytest.mark.parametrize(
    "attributes", [{"min": "few"}, {"step": "0"}, {"min": "3", "max": "2"}, {"max": "inf"}]
)
def test_nonsensical_limits_are_not_learned_and_say_why(attributes):
    with pytest.raises(NotAsked, match=r"min|max|step"):
        NUMBER.asked(WrittenControl(attributes))


def test_a_number_is_taught():
    assert NUMBER.taught(ASKED, [{"number": 12.5}]) == 12.5
    assert NUMBER.taught(ASKED, []) is None


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("12", "bad_number"),
        (None, "bad_number"),
        (True, "bad_number"),
        (float("nan"), "bad_number"),
        (float("inf"), "bad_number"),
        (10**400, "bad_number"),
        (-1, "number_out_of_range"),
        (101, "number_out_of_range"),
    ],
)
def test_what_is_no_number_is_told(number, reason):
    with pytest.raises(UnusableRegion) as caught:
        NUMBER.taught(ASKED, [{"number": number}])
    assert caught.value.reason == reason


def test_whole_numbers_are_written_without_a_point():
    (answer,) = NUMBER.answers(LEARNED, Scale.from_json(LEARNED).found((0, 0, 0.1, 0.9, 0)), 0.3)
    assert answer.value == {"number": 3} and isinstance(answer.value["number"], int)


def test_a_version_knows_its_tag_again_though_numbers_have_spanned_its_scale():
    assert NUMBER.is_same(ASKED, LEARNED)
    assert not NUMBER.is_same(NUMBER.asked(WrittenControl({"max": "9"})), LEARNED)
    assert not NUMBER.is_same(ASKED, None)
