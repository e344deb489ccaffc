import numpy as np
import pytest

from backend.training.detector.schedule import (
    assignment_trust,
    ema_decay,
    learning_rate_factor,
    longest_side_px,
)
from backend.training.parameters import TrainingParams
from backend.training.recipe import RECIPE, plan_training


def test_learning_rate_warms_up_and_falls():
    plan = plan_training(TrainingParams(), 100, RECIPE, goes_on=False)
    factors = [learning_rate_factor(step, 600, plan) for step in range(600)]
    peak = int(np.argmax(factors))
    assert factors[peak] == pytest.approx(1)
    assert 10 < peak < 100
    assert factors[-1] == pytest.approx(plan.final_rate, abs=0.01)
    assert plan.final_rate < 1
    assert all(np.diff(factors[peak:]) <= 0)


def test_sizes_and_trust_rise_to_their_full_value():
    plan = plan_training(TrainingParams(), 100, RECIPE, goes_on=False)
    sizes = [longest_side_px(p, plan) for p in np.linspace(0, 1, 21)]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 416
    assert assignment_trust(0, plan) == 0
    assert assignment_trust(0.9, plan) == 1
    assert 0 < ema_decay(0, 600, plan) < ema_decay(599, 600, plan) < 1
