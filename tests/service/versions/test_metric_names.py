import pytest

from backend.service.versions.metric_names import is_comparable, main_metric, metric_title


@pytest.mark.parametrize(
    ("names", "main"),
    [
        (["box_map", "box_map50", "mask_map50", "precision"], "box_map50"),
        (["area_iou", "precision", "recall"], "area_iou"),
        (["choice_accuracy", "choice_map"], "choice_accuracy"),
        (["precision"], None),
        ([], None),
    ],
    ids=["boxes", "areas", "choices", "one-threshold-only", "nothing"],
)
def test_a_version_is_judged_by_one_metric(names, main):
    assert main_metric(names) == main


def test_what_holds_at_one_threshold_only_is_not_compared():
    assert [is_comparable(name) for name in ("box_map", "area_iou", "precision")] == [True, True, False]


def test_titles_are_written_as_people_say_them():
    assert (metric_title("area_iou"), metric_title("calibration_error")) == ("area IoU", "calibration error")
