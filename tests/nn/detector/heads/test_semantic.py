import numpy as np
import torch

from backend.nn.detector.heads.semantic import IGNORED, semantic_loss, semantic_target
from tests.learning_scenes import scene


def test_unknown_pixels_cost_nothing():
    targets = torch.full((1, 1, 4, 4), IGNORED, dtype=torch.uint8)
    logits = torch.randn(1, 1, 4, 4, requires_grad=True)
    loss = semantic_loss(logits, targets)
    assert loss == 0
    loss.backward()
    assert logits.grad.abs().sum() == 0


def test_a_rectangle_without_shape_does_not_punish_its_corners():
    targets = torch.zeros((1, 1, 4, 4), dtype=torch.uint8)
    targets[..., 1:3, 1:3] = IGNORED
    logits = torch.full((1, 1, 4, 4), -9.0)
    filled = logits.clone()
    filled[..., 1:3, 1:3] = 9.0
    torch.testing.assert_close(semantic_loss(logits, targets), semantic_loss(filled, targets))


def test_the_inside_of_a_shapeless_box_is_unknown():
    _, target = scene(1, count=1, with_masks=False)
    semantic = semantic_target(target, 2)
    x1, y1, x2, y2 = np.round(target.boxes_xyxy_px[0] / 4).astype(int)
    assert (semantic[0, y1:y2, x1:x2] == IGNORED).all()
    assert set(np.unique(semantic[0])) == {0, IGNORED}
    assert (semantic[1] == 0).all()
