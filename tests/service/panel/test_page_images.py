from __future__ import annotations

import cv2
import numpy as np
import pytest

from backend.errors import ImageNotFound, NotFoundError
from backend.service.panel.page_images import PageImages
from backend.service.projects.task_index import TaskIndex
from tests.fakes.images import FakeImages
from tests.fakes.services import connections_to
from tests.panel_fakes import KEY, FakePanelLabelStudio


class Files:
    """Thumbnails of all processes, in memory."""

    def __init__(self):
        self.held = {}

    def read(self, name):
        return self.held.get(name)

    def write(self, name, content):
        self.held[name] = content


def make(pixels, files=None, **options):
    label_studio = FakePanelLabelStudio(2)
    reference = label_studio.known_tasks[0]["data"]["image"]
    index = TaskIndex(lambda key: label_studio, lambda key: None, lambda key: {})
    images = FakeImages({reference: pixels})
    return PageImages(images, index, connections_to(label_studio), files or Files(), **options), images


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
        pages.tile(KEY, 1, 0, 0, 0, 0)
    assert len(images.asked) == 4


def test_a_thumbnail_is_made_once_for_all_processes_and_as_often_as_the_picture_changes():
    files = Files()
    first = make(np.full((300, 900, 3), 90, np.uint8), files)[0].thumbnail(KEY, 1, 0)
    pages, images = make(np.full((300, 900, 3), 90, np.uint8), files)
    assert pages.thumbnail(KEY, 1, 0) == first and not images.asked
    files.held = {name: b"damaged" for name in files.held}
    pages, images = make(np.full((300, 900, 3), 90, np.uint8), files)
    assert pages.thumbnail(KEY, 1, 0) == first and len(images.asked) == 1
    assert make(np.full((300, 300, 3), 90, np.uint8), files)[0].thumbnail(KEY, 1, 0).width == 300


def ramp(height, width):
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:, :, 0] = np.arange(width)[None] * 255 // width
    picture[:, :, 1] = np.arange(height)[:, None] * 255 // height
    return picture


def test_a_large_picture_comes_as_a_preview_with_its_true_size():
    encoded = make(ramp(1000, 4000))[0].image(KEY, 1, 0)
    assert decode(encoded).shape == (512, 2048, 3) and (encoded.width, encoded.height) == (4000, 1000)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_the_tiles_of_a_level_are_the_picture(level):
    picture = ramp(1000, 1301)
    pages, _ = make(picture)
    side = 512 << level
    rows = [
        [decode(pages.tile(KEY, 1, 0, level, column, row)) for column in range(-(-1301 // side))]
        for row in range(-(-1000 // side))
    ]
    joined = np.vstack([np.hstack(row) for row in rows])
    assert joined.shape[:2] == (-(-1000 >> level), -(-1301 >> level))
    wanted = cv2.resize(picture, joined.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(joined.astype(int) - wanted)[:, :, :2].max() <= 8


@pytest.mark.parametrize("place", [(0, 3, 0), (0, 0, 2), (3, 0, 0), (4000, 0, 0), (0, 10**9, 0)])
def test_a_tile_that_is_not_there_is_said(place):
    with pytest.raises(NotFoundError, match="1301 x 1000 px has no tile"):
        make(ramp(1000, 1301))[0].tile(KEY, 1, 0, *place)


def test_what_is_not_there_is_said():
    pages, _ = make(np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(NotFoundError, match="has 1 images"):
        pages.image(KEY, 1, 1)
    with pytest.raises(ImageNotFound):
        pages.image(KEY, 2, 0)
