from __future__ import annotations

import pytest

from backend.core.evaluation.evaluation import Evaluation, PlacedObject, ScoreBin, Size, Tally, WorstImage
from tests.panel_fakes import publish_version
from tests.web.panel.conftest import BASE

MARK_UP = "<script>Cell</script>"


def placed(label, is_right, score=None):
    return PlacedObject(label, (0.1, 0.2, 0.5, 0.6), is_right, score)


EVALUATION = Evaluation(
    threshold=0.3,
    images=5,
    tallies={("Cell", Size.SMALL): Tally(4, 3, 2), (MARK_UP, Size.LARGE): Tally(2, 2, 2)},
    confusion={("Cell", "Cell"): 2, ("Cell", MARK_UP): 1, ("", "Cell"): 1, ("Cell", ""): 1},
    bins=(ScoreBin(4, 0.2, 1), ScoreBin(4, 0.8, 3)),
    worst=(
        WorstImage(2, 0, 300, 200, 1, 1, (placed("Cell", False), placed(MARK_UP, False, 0.7))),
        WorstImage(999, 1, 300, 200, 0, 1, (placed("Cell", False, 0.6),)),
    ),
)


@pytest.fixture
def reported(services, client):
    publish_version(services, "v1", metrics={"box_map50": 0.5}, created_at=1000.0)
    publish_version(
        services,
        "v2",
        evaluation=EVALUATION.as_json(),
        per_class={"Cell": {"objects": 60, "f1": 0.5}},
        created_at=2000.0,
        labels=["Cell", MARK_UP],
    )
    return client


def test_a_report_as_json_is_as_described_and_tells_what_changed(reported):
    body = reported.get(f"{BASE}/versions/v2/report").json
    assert [(row["name"], row["drawn"]) for row in body["by_label"]] == [("Cell", 4), (MARK_UP, 2)]
    assert body["before"]["before"] == "v1" and body["missing"] == []
    assert body["worst"][0]["objects"][1]["score"] == 0.7


def test_a_version_of_an_earlier_release_gets_a_report_that_says_what_is_missing(reported):
    body = reported.get(f"{BASE}/versions/v1/report").json
    assert len(body["missing"]) == 1 and body["total"] is None and body["before"] is None
    page = reported.get(f"{BASE}/versions/v1/report.html").get_data(as_text=True)
    assert body["missing"][0] in page


def test_the_page_needs_nothing_else_and_shows_texts_as_texts(reported):
    answer = reported.get(f"{BASE}/versions/v2/report.html")
    page = answer.get_data(as_text=True)
    assert page.count("data:image/jpeg;base64,") == 1
    assert "Task 999" in page and "The picture cannot be shown" in page
    assert ">60</td>" in page and "60.000" not in page
    assert "<script" not in page and "&lt;script&gt;Cell" in page
    assert "src=" not in page and "http:" not in page.replace('http-equiv="Content', "")
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_the_page_can_be_kept_as_a_file(reported):
    answer = reported.get(f"{BASE}/versions/v2/report.html?download=true")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="report-v2.html"'


def test_the_list_of_versions_leaves_what_only_the_report_shows_out(reported):
    for card in reported.get(f"{BASE}/versions").json["versions"]:
        assert "evaluation" not in card


def test_the_report_of_an_unknown_version_is_404(client):
    assert client.get(f"{BASE}/versions/nothing/report").status_code == 404
    assert client.get(f"{BASE}/versions/nothing/report.html").status_code == 404


def test_the_learning_curve_is_as_described_with_and_without_versions(services, client):
    assert client.get(f"{BASE}/learning-curve").json["missing"]
    for number, images in enumerate((20, 40, 80)):
        metrics = {"box_map50": 0.5 + number / 10}
        publish_version(services, f"v{number}", training_images=images, metrics=metrics)
    curve = client.get(f"{BASE}/learning-curve").json
    assert [one["images"] for one in curve["ahead"]] == [105, 130, 180] and curve["missing"] == ""
