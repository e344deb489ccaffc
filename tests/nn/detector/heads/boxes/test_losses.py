import torch

from backend.nn.detector.heads.boxes.losses import BoxTargets, detection_losses, learners_of, varifocal_loss
from backend.nn.detector.heads.boxes.module import all_anchor_points
from backend.nn.detector.heads.head import LossContext


def test_right_answers_cost_less_than_wrong_ones():
    targets = torch.tensor([[0.9, 0.0]])
    right = varifocal_loss(torch.tensor([[3.0, -6.0]]), targets, torch.ones(2))
    wrong = varifocal_loss(torch.tensor([[-3.0, 6.0]]), targets, torch.ones(2))
    assert right < wrong


BOXES = [[8.0, 8, 40, 40], [44.0, 20, 60, 60]]


def learned(rows, steps=150):
    """Return scores [P, 3] and boxes [P, 4] of cells that are free to learn an image of 64 x 64 px.

    rows: of each label, the number of its object and the label.
    """
    torch.manual_seed(0)
    points, _ = all_anchor_points((64, 64), torch.device("cpu"))
    logits = torch.full((1, len(points), 3), -3.0, requires_grad=True)
    offsets = torch.full((1, len(points), 4), 12.0, requires_grad=True)
    objects, labels = (torch.tensor(column) for column in zip(*rows, strict=True))
    targets = BoxTargets([torch.tensor(BOXES)], [labels], [objects])
    optimizer = torch.optim.Adam([logits, offsets], lr=0.3)
    for step in range(steps):
        sides = offsets.abs()
        boxes = torch.cat([points - sides[..., :2], points + sides[..., 2:]], dim=-1)
        context = LossContext((64, 64), torch.ones(3), trust=step / steps)
        learners = learners_of(logits, boxes, targets, context)
        loss = sum(detection_losses(logits, boxes, targets, context, learners).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return logits[0].detach().sigmoid(), boxes[0].detach()


def test_every_label_of_an_object_is_learned_and_no_other():
    scores, boxes = learned([(0, 0), (0, 1), (1, 2)])
    first, second = scores[:, 0].argmax(), scores[:, 2].argmax()
    assert scores[first, 0] > 0.8 and scores[first, 1] > 0.8 and scores[first, 2] < 0.1
    assert scores[second, 2] > 0.8 and scores[second, :2].max() < 0.1
    torch.testing.assert_close(boxes[first], torch.tensor(BOXES[0]), atol=1.5, rtol=0)


def test_objects_of_one_label_each_learn_as_ever():
    """The order of labels makes no difference, and an object does not see the other's."""
    scores, _ = learned([(1, 2), (0, 0)])
    assert scores[:, 1].max() < 0.1
    assert scores[:, 0].max() > 0.8 and scores[:, 2].max() > 0.8
