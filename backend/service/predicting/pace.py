"""The numbers by which a background prediction waits and shares its work."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """How a background prediction is shared out, and how patient it is with Label Studio.

    push_waits_s: seconds before each further try of a push that Label Studio refused; after the last one
    the predictions are kept. tasks_per_shard: what one worker takes at once. read_shards_every_s: how long
    between two looks at what other workers have done.
    """

    push_waits_s: tuple[float, ...] = (1.0, 3.0, 10.0, 30.0, 60.0, 120.0)
    tasks_per_shard: int = 250
    read_shards_every_s: float = 1.0
