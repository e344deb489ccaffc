import threading
import time
import weakref
from dataclasses import replace

import numpy as np

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.tiling import Tiling
from backend.training.detector.images import (
    CachedImage,
    count_labels,
    label_weights,
    load_images,
    most_labelled,
    to_training_size,
)
from backend.training.tiles import TilesDecision
from tests.learning_scenes import sample, scene

IMAGES = [CachedImage(*scene(i)) for i in range(4)]


def test_targets_drawn_on_another_size_follow_the_image():
    image, target = scene(2)
    larger = np.repeat(np.repeat(image, 2, axis=0), 2, axis=1)
    cached = to_training_size(larger, target, 48)
    assert cached.image.shape == (32, 48, 3)
    np.testing.assert_allclose(cached.target.boxes_xyxy_px, target.boxes_xyxy_px / 2, atol=1)


def test_rare_labels_weigh_more_up_to_a_limit():
    np.testing.assert_allclose(label_weights(np.array([100, 25, 1, 0]), 3.0), [1, 2, 3, 3])
    assert count_labels(IMAGES, 3).tolist() == [4, 4, 0]


def test_pictures_that_are_cut_are_kept_at_the_scale_of_their_tiles(tmp_path):
    tiles = TilesDecision(Tiling(side_px=100), "because")
    samples = [sample(1, size_wh=(400, 300)), sample(2, size_wh=(90, 60)), sample(3, size_wh=(400, 20))]
    loaded = load_images(samples, 50, tmp_path, tiles=tiles)
    assert loaded.tiles is tiles
    large, small, thin = loaded.images
    assert (large.size, large.tile_side_px, large.view_size) == (ImageSize(200, 150), 50, ImageSize(50, 50))
    assert (small.size, small.tile_side_px, small.view_size) == (ImageSize(50, 33), None, ImageSize(50, 33))
    assert (thin.size, thin.view_size) == (ImageSize(200, 10), ImageSize(50, 10))
    np.testing.assert_allclose(large.target.boxes_xyxy_px, samples[0].target.boxes_xyxy_px / 2, atol=0.01)


def test_tiles_are_not_kept_larger_than_the_picture_is(tmp_path):
    loaded = load_images(
        [sample(1, size_wh=(400, 300))], 224, tmp_path, tiles=TilesDecision(Tiling(side_px=120), "")
    )
    assert (loaded.images[0].size, loaded.images[0].tile_side_px) == (ImageSize(400, 300), 120)


def test_the_fullest_picture_is_counted():
    assert most_labelled([scene(1, count=5)[1], scene(2)[1]]) == 5
    assert most_labelled([]) == 0


class Pictures:
    """Samples that say how many of their pictures were in memory at a time, at most."""

    def __init__(self, count, size_wh):
        self.samples = [
            replace(one, load_rgb=self._load, target=replace(one.target, size=ImageSize(*size_wh)))
            for one in map(sample, range(count))
        ]
        self.alive, self.most = 0, 0
        self._changed = threading.Lock()

    def _load(self):
        picture = scene(1)[0]
        with self._changed:
            self.alive += 1
            self.most = max(self.most, self.alive)
        weakref.finalize(picture, self._gone)
        time.sleep(0.02)
        return picture

    def _gone(self):
        with self._changed:
            self.alive -= 1


def test_a_large_picture_is_alone_in_memory_while_it_is_brought_to_training_size(tmp_path):
    pictures = Pictures(6, size_wh=(9600, 6400))
    assert len(load_images(pictures.samples, 48, tmp_path).images) == 6
    assert (pictures.most, pictures.alive) == (1, 0)


def test_small_pictures_are_read_side_by_side(tmp_path):
    both = threading.Barrier(2)

    def load():
        both.wait(10)
        return scene(1)[0]

    samples = [replace(sample(number), load_rgb=load) for number in range(4)]
    assert len(load_images(samples, 48, tmp_path).images) == 4
