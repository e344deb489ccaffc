import numpy as np
import pytest
import torch

from backend.core.answers.options import Chances, Form, Question
from backend.core.answers.scales import Scale
from backend.core.geometry.instances import ImageSize, TrainingTarget
from backend.core.geometry.placement import Placement, whole
from backend.nn.detector.heads.answer_curves import Curve, fit_curve
from backend.nn.detector.heads.answer_measures import choice_measures
from backend.nn.detector.heads.choices.head import CHOICES
from backend.nn.detector.heads.choices.module import ChoicesModule, coverage
from backend.nn.detector.heads.head import Dimensions, FeatureMaps, LossContext, Piece

SINGLE = Question(Form.SINGLE, (("a",), ("b",)))
MULTIPLE = Question(Form.MULTIPLE, (("p",), ("q",)))
SIZE, CANVAS = ImageSize(40, 40), ImageSize(80, 80)


def target(extra):
    boxes, labels = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    return TrainingTarget(CANVAS, boxes, labels, (), extras={"choices": extra})


def module_of(asked):
    dimensions = Dimensions(4, 8, 4, 0, deep_channels=(4, 4, 4), asked=asked)
    return CHOICES.build(dimensions).eval()


def maps(fill):
    """Return maps whose left half holds one number and the right half another."""
    levels = []
    for side in (8, 4, 2):
        level = torch.zeros(1, 4, side, side)
        level[..., : side // 2], level[..., side // 2 :] = fill
        levels.append(level)
    return FeatureMaps(torch.zeros(1, 4, 16, 16), levels, [])


def test_a_view_teaches_the_choices_of_the_images_that_it_shows_well():
    left = Placement(SIZE, 40, 40, 0, 0, False, False, (0, 0, 40, 80))
    cut = Placement(SIZE, 80, 80, 40, 0, False, False, (40, 0, 80, 20))  # an eighth of it is seen
    shown = CHOICES.view_extra([Piece({"kind": [0]}, left), Piece({"kind": [1]}, cut), Piece(None, left)])
    targets = CHOICES.targets([target(shown)], 0, np.random.default_rng(0))
    assert targets.chosen == ({"kind": [0]},)
    assert targets.areas_xyxy.tolist() == [[0, 0, 0.5, 0.5]]


def test_a_view_into_which_objects_were_pasted_teaches_no_choice():
    assert CHOICES.view_extra([Piece({"kind": [0]}, whole(SIZE, CANVAS), is_altered=True)]) == []


def test_only_the_area_of_the_image_has_a_say():
    module = module_of({"kind": SINGLE.as_json()})
    with torch.no_grad():
        module.out.weight.normal_()
    view, half = torch.zeros(1, dtype=torch.int64), torch.tensor([[0.0, 0.0, 0.5, 1.0]])
    with torch.no_grad():
        alone, beside = (module.logits(module(maps(fill)), view, half) for fill in ((1.0, 1.0), (1.0, 9.0)))
    assert torch.allclose(alone, beside, atol=0.02)


def test_coverage_is_that_of_the_area():
    covered = coverage(torch.tensor([[0.0, 0.0, 0.75, 0.5]]), 2, 2)
    assert torch.allclose(covered[0], torch.tensor([[1.0, 0.5], [0.0, 0.0]]), atol=1e-5)


def test_a_batch_that_teaches_nothing_costs_nothing():
    module = module_of({"kind": SINGLE.as_json()})
    targets = CHOICES.targets([target([])], 0, np.random.default_rng(0))
    context = LossContext((80, 80), torch.ones(0), 1.0)
    assert CHOICES.losses(module, module(maps((1.0, 2.0))), targets, context)["choice"].item() == 0


def test_the_loss_falls_towards_what_was_chosen():
    module = module_of({"kind": SINGLE.as_json(), "tags": MULTIPLE.as_json()})
    assert isinstance(module, ChoicesModule)
    shown = CHOICES.view_extra([Piece({"kind": [1], "tags": [0]}, whole(SIZE, CANVAS))])
    targets = CHOICES.targets([target(shown)], 0, np.random.default_rng(0))
    context = LossContext((80, 80), torch.ones(0), 1.0)

    def loss(*bias):
        with torch.no_grad():
            module.out.bias.copy_(torch.tensor(bias))
        return CHOICES.losses(module, module(maps((1.0, 2.0))), targets, context)["choice"].item()

    assert loss(-1.0, 1.0, 1.0, -1.0) < loss(0.0, 0.0, 0.0, 0.0) < loss(1.0, -1.0, -1.0, 1.0)


def test_a_mirrored_view_teaches_the_other_side():
    sides = Question(Form.SINGLE, (("left",), ("right",), ("middle",)))
    module = module_of({"side": sides.as_json()})
    assert isinstance(module, ChoicesModule)
    mirrored = Placement(SIZE, 40, 40, 0, 0, True, False, (0, 0, 80, 80))
    context = LossContext((80, 80), torch.ones(0), 1.0)
    with torch.no_grad():
        module.out.bias.copy_(torch.tensor((0.0, 3.0, 0.0)))

    def loss(place, position):
        shown = CHOICES.view_extra([Piece({"side": [position]}, place)])
        targets = CHOICES.targets([target(shown)], 0, np.random.default_rng(0))
        return CHOICES.losses(module, module(maps((1.0, 2.0))), targets, context)["choice"].item()

    as_it_is = whole(SIZE, CANVAS)
    assert loss(mirrored, 0) < loss(mirrored, 1)
    assert loss(as_it_is, 1) < loss(as_it_is, 0)


@pytest.mark.parametrize(("right_in_ten", "is_flatter"), [(6, True), (10, False)])
def test_certainty_is_lowered_as_far_as_new_images_prove_it_wrong(right_in_ten, is_flatter):
    found = [Chances(SINGLE, (0.95, 0.05))] * 40
    taught = [[0] if k % 10 < right_in_ten else [1] for k in range(40)]
    curve = fit_curve(found, taught)
    assert (curve.slope < 0.6) is is_flatter


def test_a_few_images_hardly_move_the_certainty():
    assert 0.6 < fit_curve([Chances(SINGLE, (0.9, 0.1))], [[1]]).slope <= 1
    assert fit_curve([], []) == Curve(1.0)


@pytest.mark.parametrize("question", [SINGLE, MULTIPLE])
def test_images_like_those_learned_from_make_nothing_surer(question):
    curve = fit_curve([Chances(question, (0.7, 0.3))] * 40, [[0]] * 40)
    assert curve.slope == 1


def test_values_that_are_always_right_are_surer_than_their_spread():
    stars = Scale((1.0, 2.0, 3.0))
    assert fit_curve([stars.found((0.2, 0.6, 0.2))] * 40, [2.0] * 40).slope > 1


def test_each_form_has_its_measure():
    answered = [
        (
            {"kind": Chances(SINGLE, (0.9, 0.1)), "tags": Chances(MULTIPLE, (0.9, 0.1))},
            {"kind": [0], "tags": [0]},
        ),
        (
            {"kind": Chances(SINGLE, (0.9, 0.1)), "tags": Chances(MULTIPLE, (0.2, 0.1))},
            {"kind": [1], "tags": []},
        ),
    ]
    assert choice_measures(answered) == {"choice_accuracy": 0.5, "choice_map": 1.0}
    assert choice_measures([({}, {})]) == {}
