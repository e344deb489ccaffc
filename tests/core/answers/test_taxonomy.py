import pytest

from backend.core.answers.kind import NotAsked, WrittenControl
from backend.core.answers.options import Chances, Question
from backend.core.answers.taxonomy import TAXONOMY
from backend.core.regions.unusable import UnusableRegion

TREE = (("Bacteria",), ("Eukarya",), ("Eukarya", "Human"), ("Eukarya", "Opossum"))
ASKED = TAXONOMY.asked(WrittenControl({}, TREE))
LEAVES = TAXONOMY.asked(WrittenControl({"leafsonly": "true"}, TREE))


def values(*paths):
    return [{"taxonomy": list(paths)}]


@pytest.mark.parametrize(
    ("paths", "taught"),
    [
        pytest.param([["Eukarya", "Human"]], [2], id="a path to a leaf"),
        pytest.param([["Eukarya"]], [1], id="a path that ends above a leaf"),
        pytest.param([["Bacteria"], ["Eukarya", "Opossum"]], [0, 3], id="two paths"),
        pytest.param(["Eukarya", "Human"], [2], id="a path that is in no list"),
    ],
)
def test_what_paths_teach(paths, taught):
    assert TAXONOMY.taught(ASKED, values(*paths)) == taught


def test_no_path_says_nothing():
    assert TAXONOMY.taught(ASKED, []) is None


@pytest.mark.parametrize(
    ("asked", "value", "reason"),
    [
        (ASKED, {"taxonomy": [["Eukarya", "Cow"]]}, "unknown_path"),
        (ASKED, {"taxonomy": [["Human"]]}, "unknown_path"),
        (ASKED, {"taxonomy": [[]]}, "bad_answer"),
        (ASKED, {"taxonomy": "Human"}, "bad_answer"),
        (ASKED, {}, "bad_answer"),
        (LEAVES, {"taxonomy": [["Eukarya"]]}, "path_too_short"),
    ],
)
def test_bad_paths_cost_their_answer_alone(asked, value, reason):
    with pytest.raises(UnusableRegion) as caught:
        TAXONOMY.taught(asked, [value])
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("asked", "chances", "path"),
    [
        pytest.param(ASKED, (0.2, 0.8, 0.7, 0.05), ["Eukarya", "Human"], id="sure of the leaf"),
        pytest.param(ASKED, (0.1, 0.9, 0.4, 0.45), ["Eukarya"], id="unsure between the leaves"),
        pytest.param(ASKED, (0.0, 0.98, 0.51, 0.0), ["Eukarya", "Human"], id="likelier to go on than to end"),
        pytest.param(ASKED, (0.9, 0.1, 0.1, 0.0), ["Bacteria"], id="a leaf at the top"),
        pytest.param(ASKED, (0.45, 0.45, 0.4, 0.05), None, id="unsure at the top"),
        pytest.param(LEAVES, (0.1, 0.9, 0.4, 0.45), None, id="no leaf is sure enough"),
    ],
)
def test_the_likeliest_path_is_written_as_deep_as_it_is_sure(asked, chances, path):
    answers = TAXONOMY.answers(asked, Chances(Question.from_json(asked), chances), 0.5)
    assert [answer.value for answer in answers] == ([] if path is None else [{"taxonomy": [path]}])


@pytest.mark.parametrize("attributes", [{"apiurl": "https://host/tree"}, {}])
def test_what_is_not_learned_says_why(attributes):
    with pytest.raises(NotAsked, match=r"apiUrl|no <Choice>"):
        TAXONOMY.asked(WrittenControl(attributes))
