import pytest

from backend.training.inputs import EpochReport, Stage
from backend.training.progress import StagedObserver
from tests.learning_scenes import Observer


def epoch(number, spent_s, left_s):
    return EpochReport(number, 2, 1.0, left_s, {}, spent_s)


def told(*, tuning_s):
    observer = Observer()
    return StagedObserver(observer, lambda _: tuning_s), observer


def test_every_stage_is_named_and_gets_its_share_of_time():
    stages, observer = told(tuning_s=20.0)
    stages.loading(1, 2)
    stages.loading(2, 2)
    stages.on_epoch(epoch(1, 40.0, 40.0))
    stages.on_epoch(epoch(2, 80.0, 0.0))
    stages.on_judging()
    stages.tuning(10.0, 10.0)
    stages.writing()
    assert [(p.stage, round(p.fraction, 3), p.seconds_left) for p in observer.progress] == [
        (Stage.LOAD, 0.025, None),
        (Stage.LOAD, 0.05, None),
        (Stage.TRAIN, 0.43, 60.0),  # 40 of 100 seconds, of what loading leaves of the bar
        (Stage.TRAIN, 0.81, 20.0),
        (Stage.JUDGE, 0.81, 20.0),
        (Stage.TUNE, 0.905, 10.0),
        (Stage.WRITE, 1.0, 0.0),
    ]
    assert [report.seconds_left for report in observer.reports] == [60.0, 20.0]


def test_the_bar_never_goes_back_where_an_epoch_took_longer_than_foreseen():
    stages, observer = told(tuning_s=0.0)
    stages.on_epoch(epoch(1, 50.0, 50.0))
    stages.on_epoch(epoch(2, 60.0, 90.0))
    assert observer.progress[1].fraction == observer.progress[0].fraction
    assert observer.progress[1].seconds_left == 90.0


def test_an_interrupted_training_goes_on_where_the_bar_was():
    stages, observer = told(tuning_s=20.0)
    stages.on_epoch(epoch(9, 160.0, 20.0))  # the first that this process reports
    assert observer.progress[0].fraction == pytest.approx(0.05 + 0.95 * 0.8)


def test_warnings_and_stops_are_passed_on():
    observer = Observer(stop="keep", stop_after=0)
    stages = StagedObserver(observer, lambda _: 0.0)
    stages.on_warning("careful")
    assert observer.warnings == ["careful"]
    assert stages.stop_requested() == "keep"
