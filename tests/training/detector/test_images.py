import numpy as np

from backend.training.detector.images import CachedImage, count_labels, label_weights, to_training_size
from tests.learning_scenes import scene

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
