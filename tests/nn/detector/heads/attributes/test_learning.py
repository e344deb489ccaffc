"""What is said of squares is learned from drawn pictures, by the head alone on a small backbone."""

import numpy as np
import pytest
import torch

from backend.core.geometry.instances import ImageSize
from backend.core.geometry.letterbox import Letterbox
from backend.nn.detector.architecture import Architecture
from backend.nn.detector.heads.attributes.head import ATTRIBUTES
from backend.nn.detector.heads.head import LossContext
from backend.nn.detector.heads.serving import Found, Request, Serving
from backend.nn.detector.network import InstanceNetwork
from tests.attribute_scenes import ASKED, SIZE, picture, sample

pytestmark = pytest.mark.slow

STEPS, BATCH = 70, 8
NET = ImageSize(128, 64)


def net_images(numbers):
    boxes = [Letterbox.fit(SIZE, NET) for _ in numbers]
    return torch.from_numpy(
        np.stack([box.image_to_net(picture(k)[0]) for box, k in zip(boxes, numbers, strict=True)])
    )


def learned_network():
    """Return a network that has seen some dozens of squares, at the size of the pictures."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    samples = [sample(k) for k in range(64)]
    asked = ATTRIBUTES.asked_of(ASKED, [one.target for one in samples])
    network = InstanceNetwork(
        Architecture("test_resnet", 128, 1, (ATTRIBUTES,), asked={ATTRIBUTES.name: asked})
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)
    context = LossContext((NET.height, NET.width), torch.ones(1), 1.0)
    network.train()
    for _ in range(STEPS):
        numbers = rng.choice(64, BATCH, replace=False).tolist()
        targets = ATTRIBUTES.targets([samples[k].target for k in numbers], 1, rng)
        outputs = network(network.normalise(net_images(numbers)))
        (loss,) = network.losses(outputs, {ATTRIBUTES.name: targets}, context).values()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


@pytest.fixture(scope="module")
def right():
    """Return by control tag the share of squares in new pictures of which the right thing is said."""
    network = learned_network()
    serving = Serving(
        network.module_of(ATTRIBUTES), ATTRIBUTES.reading((), 1), torch.device("cpu"), torch.float32, False
    )
    hits = {name: [] for name in ASKED}
    for number in range(1000, 1040):
        _, boxes, said = picture(number)
        letterbox = Letterbox.fit(SIZE, NET)
        found = Found.nothing(letterbox)
        found = Found(
            letterbox,
            letterbox.boxes_to_net(boxes),
            boxes,
            np.ones(2, np.float32),
            np.zeros(2, np.int64),
            (None, None),
        )
        with torch.inference_mode():
            outputs = network(network.normalise(net_images([number])))
        (found,) = ATTRIBUTES.decode(serving, outputs, [found], Request(0.3, 0.4))
        for mine, truth in zip(found.attributes, said, strict=True):
            hits["fill"].append(mine["fill"].question.chosen(mine["fill"].values, 0.0) == truth["fill"])
            hits["stripes"].append(mine["stripes"].value == truth["stripes"])
            hits["grade"].append(mine["grade"].value == truth["grade"])
    return {name: np.mean(mine) for name, mine in hits.items()}


def test_a_choice_is_told_by_what_a_square_looks_like(right):
    assert right["fill"] >= 0.8


def test_a_number_is_counted_in_a_square(right):
    assert right["stripes"] >= 0.65


def test_a_rating_is_told_by_the_size_of_a_square(right):
    assert right["grade"] >= 0.6
