from __future__ import annotations

import numpy as np
import pytest

from backend.core.evaluation.learning_curve import CurvePoint, forecast


def points(*pairs, error=0.01):
    return [CurvePoint(images, measure, error) for images, measure in pairs]


def test_one_number_of_images_foretells_nothing():
    assert forecast(points((30, 0.5), (30, 0.52)), [100]) == ()


def test_a_curve_that_has_levelled_off_brings_little_and_a_steep_one_more():
    flat = forecast(points((10, 0.78), (20, 0.80), (40, 0.80), (80, 0.805)), [180])[0]
    steep = forecast(points((10, 0.3), (20, 0.45), (40, 0.58), (80, 0.68)), [180])[0]
    assert 0.79 < flat.middle < 0.84 and steep.middle > 0.73
    assert flat.low <= flat.middle <= flat.high <= 1


def test_the_further_ahead_and_the_fewer_held_out_objects_the_wider_the_range():
    def width(count, error=0.01):
        one = forecast(points((10, 0.5), (20, 0.58), (40, 0.64), error=error), [count])[0]
        return one.high - one.low

    assert width(50) < width(200) < width(800)
    assert width(100, error=0.01) < width(100, error=0.08)


def test_the_same_points_give_the_same_forecast():
    some = points((10, 0.5), (30, 0.6))
    assert forecast(some, [60, 100]) == forecast(some, [60, 100])


@pytest.mark.parametrize(("ceiling", "gap", "exponent"), [(0.9, 1.0, 0.5), (0.65, 0.8, 0.7), (1.0, 1.0, 0.3)])
def test_ranges_hold_what_noisy_power_laws_come_to(ceiling, gap, exponent):
    rng = np.random.default_rng(1)

    def measured(images):
        return float(ceiling - gap * images**-exponent + 0.015 * rng.standard_normal())

    inside = 0
    for _ in range(20):
        some = points(*((n, measured(n)) for n in (10, 20, 30, 60)), error=0.005)
        [said] = forecast(some, [120])
        inside += said.low <= measured(120) <= said.high
    assert inside >= 13
