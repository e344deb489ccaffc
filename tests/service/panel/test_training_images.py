from __future__ import annotations

import pytest

from backend.errors import RequestError
from backend.service.panel.panel import build_panel
from backend.service.panel.training_images import training_images
from tests.panel_fakes import KEY, FakePanelLabelStudio, make_panel_services


@pytest.fixture
def label_studio():
    label_studio = FakePanelLabelStudio(5)
    for task_id in (2, 3, 5):
        label_studio.create_annotation(task_id, [])
    return label_studio


@pytest.fixture
def panel(tmp_path, label_studio):
    return build_panel(make_panel_services(tmp_path, label_studio))


def states(panel, offset=0, limit=100):
    return [image["state"] for image in training_images(panel, KEY, offset, limit)["images"]]


def test_each_image_has_its_state(panel, label_studio):
    panel.services.images.cached.add(label_studio.known_tasks[2]["data"]["image"])
    panel.services.images.cached.add(label_studio.known_tasks[3]["data"]["image"])
    assert states(panel) == ["unlabelled", "not_loaded", "loaded", "unlabelled", "not_loaded"]


def test_a_part_counts_the_whole(panel):
    part = training_images(panel, KEY, 1, 2)
    assert [image["task_id"] for image in part["images"]] == [2, 3]
    assert part["counts"] == {"loaded": 0, "not_loaded": 3, "unlabelled": 2}
    assert (part["offset"], part["total"], part["is_complete"]) == (1, 5, True)
    assert training_images(panel, KEY, 9, 2)["images"] == []


def test_a_labelled_task_without_image_can_never_be_loaded(panel, label_studio):
    label_studio.known_tasks[1]["data"] = {"text": "no picture"}
    assert states(panel)[1] == "not_loaded"


@pytest.mark.parametrize(("offset", "limit"), [(-1, 10), (0, 0), (0, 1001)])
def test_a_part_out_of_range_is_refused(panel, offset, limit):
    with pytest.raises(RequestError):
        training_images(panel, KEY, offset, limit)
