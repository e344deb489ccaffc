import torch

from backend.training.averaging import move_average


def test_an_average_follows_and_counts_are_copied():
    average = {"weight": torch.zeros(2), "count": torch.tensor(0)}
    weights = {"weight": torch.tensor([1.0, -1.0]), "count": torch.tensor(7)}
    move_average(average, weights, 0.75)
    assert average["weight"].tolist() == [0.25, -0.25]
    move_average(average, weights, 0.5)
    assert average["weight"].tolist() == [0.625, -0.625]
    assert average["count"] == 7
    assert weights["weight"].tolist() == [1.0, -1.0]


def test_a_network_and_its_copy_need_no_tensors_of_their_own():
    network, copy = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    torch.nn.init.constant_(network.weight, 3.0)
    move_average(copy.state_dict(), network.state_dict(), 0.5)
    assert copy.weight.tolist() == [2.0, 2.0]
