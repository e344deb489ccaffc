import pytest

from backend.core.answers.choices import CHOICES
from backend.core.answers.kind import NotAsked, WrittenControl
from backend.core.answers.options import Chances, Question
from backend.core.regions.unusable import UnusableRegion

SINGLE = CHOICES.asked(WrittenControl({}, (("cat",), ("dog",))))
MULTIPLE = CHOICES.asked(WrittenControl({"choice": "multiple"}, (("cat",), ("dog",))))
TREE = (("pet",), ("pet", "cat"), ("pet", "dog"), ("cow",))
NESTED = CHOICES.asked(WrittenControl({"allownested": "true"}, TREE))
NESTED_MULTIPLE = CHOICES.asked(WrittenControl({"allownested": "true", "choice": "multiple"}, TREE))
TOP_ONLY = CHOICES.asked(WrittenControl({}, TREE))


def values(*names):
    return [{"choices": list(names)}]


def chances(asked, *numbers):
    return Chances(Question.from_json(asked), numbers)


@pytest.mark.parametrize(
    ("asked", "results", "taught"),
    [
        pytest.param(SINGLE, values("dog"), [1], id="one"),
        pytest.param(SINGLE, [{"choices": "dog"}], [1], id="one as a text"),
        pytest.param(SINGLE, [], None, id="no answer to a single choice says nothing"),
        pytest.param(MULTIPLE, values("dog", "cat"), [0, 1], id="several"),
        pytest.param(MULTIPLE, [], [], id="no answer to a multiple choice says that none applies"),
        pytest.param(NESTED, values(["pet", "dog"]), [2], id="a path"),
        pytest.param(NESTED, values("dog"), [2], id="the name at the end of a path"),
        pytest.param(NESTED, values(["cow"]), [3], id="a path of one name"),
        pytest.param(NESTED, values(["pet"], ["pet", "dog"]), [2], id="with what it stands in"),
        pytest.param(
            NESTED_MULTIPLE, values(["pet"], ["pet", "cat"], ["pet", "dog"]), [1, 2], id="all that one holds"
        ),
        pytest.param(TOP_ONLY, values("pet"), [0], id="what the editor shows without allowNested"),
    ],
)
def test_what_choices_teach(asked, results, taught):
    assert CHOICES.taught(asked, results) == taught


@pytest.mark.parametrize(
    ("asked", "results", "reason"),
    [
        pytest.param(SINGLE, values("cow"), "unknown_choice", id="not in the config"),
        pytest.param(SINGLE, values("cat", "dog"), "several_choices", id="several for a single choice"),
        pytest.param(SINGLE, values("cat") + values("dog"), "several_choices", id="two results"),
        pytest.param(SINGLE, [{"choices": 3}], "bad_answer", id="a number"),
        pytest.param(SINGLE, values(3), "bad_answer", id="a number in the list"),
        pytest.param(NESTED, values(["pet", "cow"]), "unknown_choice", id="a path that ends nowhere"),
        pytest.param(NESTED, values(["cow"], ["pet", "dog"]), "several_choices", id="two paths"),
        pytest.param(TOP_ONLY, values(["pet", "dog"]), "unknown_choice", id="a path without allowNested"),
    ],
)
def test_bad_choices_cost_their_answer_alone(asked, results, reason):
    with pytest.raises(UnusableRegion) as caught:
        CHOICES.taught(asked, results)
    assert caught.value.reason == reason


@pytest.mark.parametrize("attribute", ["required", "visiblewhen"])
def test_a_choice_that_must_be_made_or_may_be_hidden_does_not_say_none(attribute):
    asked = CHOICES.asked(WrittenControl({"choice": "multiple", attribute: "true"}, (("cat",),)))
    assert CHOICES.taught(asked, []) is None


@pytest.mark.parametrize(
    ("written", "why"),
    [
        (WrittenControl({"value": "$names"}), "task's data"),
        (WrittenControl({}), "no <Choice>"),
        (WrittenControl({}, tuple((str(k),) for k in range(2001))), "2001"),
    ],
)
def test_what_is_not_learned_says_why(written, why):
    with pytest.raises(NotAsked, match=why):
        CHOICES.asked(written)


def test_a_single_choice_names_its_best_from_the_threshold_up():
    found = chances(SINGLE, 0.4, 0.6)
    (answer,) = CHOICES.answers(SINGLE, found, 0.5)
    assert (answer.value, answer.score) == ({"choices": ["dog"]}, 0.6)
    assert CHOICES.answers(SINGLE, found, 0.7) == []


def test_a_multiple_choice_names_all_that_are_likely_in_one_answer():
    (answer,) = CHOICES.answers(MULTIPLE, chances(MULTIPLE, 0.6, 0.9), 0.5)
    assert answer.value == {"choices": ["dog", "cat"]}
    assert CHOICES.answers(MULTIPLE, chances(MULTIPLE, 0.2, 0.4), 0.5) == []


def test_a_nested_choice_is_written_as_its_path():
    (answer,) = CHOICES.answers(NESTED, chances(NESTED, 0.9, 0.2, 0.7, 0.1), 0.5)
    assert answer.value == {"choices": [["pet", "dog"]]}
    (answer,) = CHOICES.answers(NESTED, chances(NESTED, 0.1, 0.1, 0.1, 0.9), 0.5)
    assert answer.value == {"choices": [["cow"]]}, "the editor compares with a list, on top too"


def test_a_multiple_nested_choice_names_those_that_hold_no_others():
    (answer,) = CHOICES.answers(NESTED_MULTIPLE, chances(NESTED_MULTIPLE, 0.9, 0.6, 0.1, 0.7), 0.5)
    assert answer.value == {"choices": [["cow"], ["pet", "cat"]]}


def test_without_allow_nested_what_stands_on_top_is_chosen_by_its_name():
    (answer,) = CHOICES.answers(TOP_ONLY, chances(TOP_ONLY, 0.9, 0.1), 0.5)
    assert answer.value == {"choices": ["pet"]}


def test_a_question_goes_through_json_and_old_cards_are_known_again():
    for asked in (SINGLE, NESTED, NESTED_MULTIPLE, TOP_ONLY):
        assert Question.from_json(asked).as_json() == asked
    old = {"form": "single", "options": [["cat"], ["dog"]], "is_open": False, "leaves_only": False}
    assert CHOICES.is_same(SINGLE, old)


def test_chances_of_another_config_are_read_by_name():
    asked = CHOICES.asked(WrittenControl({}, (("cow",), ("dog",))))
    (answer,) = CHOICES.answers(asked, chances(SINGLE, 0.4, 0.6), 0.5)
    assert answer.value == {"choices": ["dog"]}


def test_answers_are_counted_option_by_option():
    assert CHOICES.given(SINGLE, [0]) == ["cat"]
    assert CHOICES.predicted(SINGLE, chances(SINGLE, 0.4, 0.6), 0.5) == ["dog"]
    assert CHOICES.given(NESTED, [2]) == ["pet", "pet / dog"]
