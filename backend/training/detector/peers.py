"""The processes that share one training: one alone, or one per GPU as torchrun starts them.

Each process takes its shard of every batch, and PyTorch's DistributedDataParallel averages the gradients, so
all hold the same weights after every step. The first one judges, reports, decides and writes.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from backend.training.detector.batches import BatchPlan

# The others wait this long while the first one judges and writes.
PATIENCE = timedelta(hours=2)


@dataclass(frozen=True)
class Peers:
    """The processes of one training, as number `rank` of `size` sees them."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Tell whether this process judges, reports, decides and writes."""
        return self.rank == 0

    def wrap(self, network: nn.Module) -> nn.Module:
        """Return what to call in place of the network, so that its gradients are averaged."""
        if self.size == 1:
            return network
        device_ids = [self.device.index] if self.device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=device_ids)

    def shard(self, plans: Sequence[BatchPlan]) -> list[BatchPlan]:
        """Return this process's shard of each batch; all shards are equally long, so a few images repeat."""
        if self.size == 1:
            return list(plans)
        return [
            replace(plan, indices=self._shard(plan.indices), seed=(*plan.seed, self.rank)) for plan in plans
        ]

    def mean(self, value: float) -> float:
        """Return the mean of a value over all processes."""
        if self.size == 1:
            return value
        summed = torch.tensor(value, dtype=torch.float64, device=self.device)
        distributed.all_reduce(summed)
        return float(summed) / self.size

    def agree(self, value: int) -> int:
        """Return the first process's value in all of them."""
        if self.size == 1:
            return value
        said = torch.tensor(value, dtype=torch.int64, device=self.device)
        distributed.broadcast(said, src=0)
        return int(said)

    def _shard(self, indices: Sequence[int]) -> tuple[int, ...]:
        wanted = math.ceil(len(indices) / self.size) * self.size
        return tuple(itertools.islice(itertools.cycle(indices), self.rank, wanted, self.size))


ALONE = Peers()


def join(device: str) -> Peers:
    """Meet the other processes that torchrun started, and return them as this one sees them.

    device: "cpu", or "cuda" for one GPU each. Source: PyTorch's torchrun, which sets RANK, LOCAL_RANK and
    WORLD_SIZE.
    """
    is_cuda = device.startswith("cuda")
    own = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if is_cuda else torch.device("cpu")
    if is_cuda:
        torch.cuda.set_device(own)
    distributed.init_process_group("nccl" if is_cuda else "gloo", timeout=PATIENCE)
    return Peers(distributed.get_rank(), distributed.get_world_size(), own)


def leave() -> None:
    """Part from the other processes."""
    distributed.destroy_process_group()
