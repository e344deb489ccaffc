from __future__ import annotations

import pytest

from backend.errors import RequestError
from backend.service.panel.training_images import training_images
from tests.panel_fakes import KEY, FakePanelLabelStudio, make_panel_services


@pytest.fixture
def label_studio():
    label_studio = FakePanelLabelStudio(5)
    for task_id in (2, 3, 5):
        label_studio.create_annotation(task_id, [])
    return label_studio


@pytest.fixture
def services(tmp_path, label_studio):
    return make_panel_services(tmp_path, label_studio)


def part_of(services, offset=0, limit=100):
    return training_images(services.panel.index, services.images, services.connections, KEY, offset, limit)


def states(services):
    return [image["state"] for image in part_of(services)["images"]]


def test_each_image_has_its_state(services, label_studio):
    services.images.cached.add(label_studio.known_tasks[2]["data"]["image"])
    services.images.cached.add(label_studio.known_tasks[3]["data"]["image"])
    assert states(services) == ["unlabelled", "not_loaded", "loaded", "unlabelled", "not_loaded"]


def test_a_part_counts_the_whole(services):
    part = part_of(services, 1, 2)
    assert [image["task_id"] for image in part["images"]] == [2, 3]
    assert part["counts"] == {"loaded": 0, "not_loaded": 3, "unlabelled": 2}
    assert (part["offset"], part["total"], part["is_complete"]) == (1, 5, True)
    assert part_of(services, 9, 2)["images"] == []


def test_a_labelled_task_without_image_can_never_be_loaded(services, label_studio):
    label_studio.known_tasks[1]["data"] = {"text": "no picture"}
    assert states(services)[1] == "not_loaded"


@pytest.mark.parametrize(("offset", "limit"), [(-1, 10), (0, 0), (0, 1001)])
def test_a_part_out_of_range_is_refused(services, offset, limit):
    with pytest.raises(RequestError):
        part_of(services, offset, limit)
