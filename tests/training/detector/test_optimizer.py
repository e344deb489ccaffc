import torch

from backend.nn.detector.architecture import Architecture
from backend.nn.detector.heads.boxes.head import BOXES
from backend.nn.detector.network import InstanceNetwork
from backend.training.detector.optimizer import make_optimizer
from backend.training.recipe import Plan, Recipe


def test_vectors_are_not_shrunk_and_a_learned_backbone_moves_more_slowly():
    network = InstanceNetwork(Architecture("test_resnet", 96, 2, (BOXES,)))
    plan = Plan(Recipe(weight_decay=0.07), 1, 1, 1, 0.002, 0.15, 96, 0.4)
    optimizer = make_optimizer(network, plan, torch.device("cpu"))
    group_of = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in network.named_parameters():
        group = group_of[id(parameter)]
        assert group["weight_decay"] == (0.07 if parameter.ndim > 1 else 0.0)
        is_body = name.startswith("backbone.body.")
        assert group["full_rate"] == group["lr"] == (0.002 * 0.15 if is_body else 0.002)
