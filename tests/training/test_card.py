from dataclasses import replace

import numpy as np
import pytest

from backend.training.card import notes_of
from backend.training.detector.images import CachedImage
from backend.training.detector.loop import LearningData, LoopResult
from backend.training.judging.calibration import FittedTo
from tests.learning_scenes import scene


def images(count):
    return [CachedImage(*scene(i)) for i in range(count)]


def data(*, held_out=0, late=0):
    ones = np.ones(2, np.float32)
    return LearningData(images(8), images(held_out), ones, np.ones(8 + late, np.float32), images(late))


def result(learned):
    return LoopResult({}, 0, 1, 8, 1.0, 4, learned)


@pytest.mark.parametrize(
    ("held_out", "late", "fitted_to", "said"),
    [
        (4, 0, FittedTo.HELD_OUT, []),
        (2, 0, FittedTo.HELD_OUT, ["only 4 labelled objects are held back"]),
        (2, 0, FittedTo.LEARNED, ["scores are fitted to images that were learned from, which flatters"]),
        (2, 0, FittedTo.NOTHING, ["too little was found to fit scores"]),
        (
            0,
            2,
            FittedTo.LEARNED_AND_LATE,
            ["all were learned from", "of 2 while they were new"],
        ),
        (0, 2, FittedTo.LEARNED, ["all were learned from", "learned from, which flatters"]),
        (0, 2, FittedTo.NOTHING, ["all were learned from", "too little was found to fit scores"]),
    ],
)
def test_the_card_says_which_images_the_scores_are_fitted_to(held_out, late, fitted_to, said):
    shown = data(held_out=held_out, late=late)
    notes = notes_of(shown, result(shown.learned), fitted_to)
    assert len(notes) == len(said)
    assert all(words in note for words, note in zip(said, notes, strict=True))


def test_a_training_that_ended_before_all_images_joined_says_so():
    shown = data(late=2)
    stopped = replace(result(shown.learned), learned=shown.training)
    assert "stopped before 2 images joined" in notes_of(shown, stopped, FittedTo.LEARNED)[0]
