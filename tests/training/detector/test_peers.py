import pytest
import torch

from backend.training.detector.batches import BatchPlan
from backend.training.detector.peers import ALONE, Peers


def plan(*indices):
    return BatchPlan(indices, (224, 224), (0, 1, 2), allow_mosaic=True)


def test_alone_nothing_changes():
    network = torch.nn.Linear(1, 1)
    assert ALONE.wrap(network) is network
    assert ALONE.shard([plan(1, 2, 3)]) == [plan(1, 2, 3)]
    assert (ALONE.mean(0.1), ALONE.agree(3), ALONE.is_first) == (0.1, 3, True)


@pytest.mark.parametrize("indices", [(4, 5, 6, 7), (4, 5, 6), (4,), (4, 5, 6, 7, 8)], ids=len)
@pytest.mark.parametrize("size", [2, 3])
def test_shards_are_equally_long_and_leave_nothing_out(indices, size):
    shards = [Peers(rank, size).shard([plan(*indices)])[0] for rank in range(size)]
    assert len({len(shard.indices) for shard in shards}) == 1
    assert {i for shard in shards for i in shard.indices} == set(indices)
    assert sum(len(shard.indices) for shard in shards) - len(indices) < size
    assert len({shard.seed for shard in shards}) == size
