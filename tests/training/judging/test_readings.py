from backend.training.judging.readings import surest_reading


def test_the_reading_is_the_one_that_fits_best():
    fits = {"usual": [0.6, 0.7] * 6, "worse": [0.5, 0.6] * 6, "better": [0.7, 0.8] * 6}
    assert surest_reading("usual", ["worse", "better"], fits.__getitem__) == "better"


def test_a_reading_that_is_better_by_chance_only_is_not_taken():
    fits = {"usual": [0.6] * 12, "now better, now worse": [0.75, 0.5, 0.6] * 4}
    assert surest_reading("usual", ["now better, now worse"], fits.__getitem__) == "usual"


def test_too_few_objects_tell_no_reading():
    assert (
        surest_reading("usual", ["better"], {"usual": [0.1] * 7, "better": [0.9] * 7}.__getitem__) == "usual"
    )
