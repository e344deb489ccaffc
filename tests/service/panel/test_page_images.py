from __future__ import annotations

import cv2
import numpy as np
import pytest

from backend.errors import ImageNotFound, NotFoundError
from backend.service.panel.page_images import PageImages
from backend.service.projects.task_index import TaskIndex
from tests.fakes import FakeImages, connections_to
from tests.panel_fakes import KEY, FakePanelLabelStudio


def make(pixels, **options):
    label_studio = FakePanelLabelStudio(2)
    reference = label_studio.known_tasks[0]["data"]["image"]
    index = TaskIndex(lambda key: label_studio, lambda key: None, lambda key: {})
    images = FakeImages({reference: pixels})
    return PageImages(images, index, connections_to(label_studio), **options), images


def decode(encoded):
    return cv2.cvtColor(
        cv2.imdecode(np.frombuffer(encoded.data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB
    )


def test_colours_and_size_stay():
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:, :30] = (250, 10, 10)
    shown = decode(make(pixels)[0].image(KEY, 1, 0))
    assert shown.shape == (40, 60, 3)
    assert np.abs(shown[20, 10].astype(int) - (250, 10, 10)).max() < 12


@pytest.mark.parametrize("shape", [(900, 300, 3), (300, 900, 3), (1, 2000, 3)])
def test_thumbnails_keep_the_aspect_and_say_the_true_size(shape):
    encoded = make(np.full(shape, 90, np.uint8))[0].thumbnail(KEY, 1, 0)
    small = decode(encoded)
    assert max(small.shape[:2]) == 192
    assert (encoded.height, encoded.width) == shape[:2]


def test_the_same_image_is_decoded_once():
    pages, images = make(np.zeros((10, 10, 3), np.uint8))
    assert pages.image(KEY, 1, 0) is pages.image(KEY, 1, 0)
    assert len(images.asked) == 1


def test_a_picture_that_was_replaced_is_shown():
    pages, images = make(np.zeros((10, 10, 3), np.uint8))
    pages.image(KEY, 1, 0)
    (reference,) = images.images
    images.images[reference] = np.zeros((20, 30, 3), np.uint8)
    assert pages.image(KEY, 1, 0).width == 30


def test_memory_is_bounded():
    pages, images = make(np.zeros((10, 10, 3), np.uint8), most_bytes=1)
    for _ in range(2):
        pages.image(KEY, 1, 0)
        pages.thumbnail(KEY, 1, 0)
    assert len(images.asked) == 4


def test_what_is_not_there_is_said():
    pages, _ = make(np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(NotFoundError, match="has 1 images"):
        pages.image(KEY, 1, 1)
    with pytest.raises(ImageNotFound):
        pages.image(KEY, 2, 0)
