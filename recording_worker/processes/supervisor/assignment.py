"""Which worker gets a partition: pure functions."""

from collections.abc import Collection, Mapping
from typing import NamedTuple


def assign_partitions(
    partitions: Collection[int], workers: Collection[int], current: Mapping[int, int]
) -> dict[int, int]:
    """Partition → worker, for every partition.

    `current` says who has which partition now; entries of partitions or workers that are not
    given count as nobody's. No worker gets two partitions more than another; within that, as few as can
    be change hands, and those that do go to the worker that has least.
    """
    if not workers:
        return {}
    held: dict[int, list[int]] = {worker: [] for worker in sorted(workers)}
    homeless: list[int] = []
    for partition in sorted(partitions):
        held.get(current.get(partition, -1), homeless).append(partition)

    share, remainder = divmod(len(partitions), len(held))
    fullest_first = sorted(held, key=lambda worker: -len(held[worker]))
    for place, worker in enumerate(fullest_first):
        # those that hold most keep the odd ones, so that nothing moves for the remainder's sake
        most = share + (place < remainder)
        homeless += held[worker][most:]
        del held[worker][most:]

    for partition in sorted(homeless):
        min(held.values(), key=len).append(partition)
    return {partition: worker for worker, mine in held.items() for partition in mine}


class Move(NamedTuple):
    """A partition that is to change hands."""

    partition: int
    giver: int
    taker: int


def relieving_move(
    lags: Mapping[int, Mapping[int, int]], pinned: Collection[int], *, idle_lag: int, least_relief: int
) -> Move | None:
    """The one partition whose move from a worker that lags to an idle one helps most, or None.

    `lags`: worker → partition it reads → messages it has yet to read. `pinned` partitions stay. Idle is a worker whose
    partitions lag by `idle_lag` messages at most, all together. A move helps by what it takes off the larger of the
    two workers' lags. One that helps by less than `least_relief` messages is not made, so nothing moves to and
    fro: a partition that has all the lag of its worker stays where it is.
    """
    totals = {worker: sum(partitions.values()) for worker, partitions in lags.items()}
    if not totals:
        return None
    taker = min(sorted(totals), key=lambda worker: (totals[worker], len(lags[worker])))
    if totals[taker] > idle_lag:
        return None

    def relief(move: Move) -> int:
        lag, before = lags[move.giver][move.partition], totals[move.giver]
        return before - max(before - lag, totals[taker] + lag)

    moves = [
        Move(partition, giver, taker)
        for giver in lags
        for partition in lags[giver]
        if giver != taker and partition not in pinned
    ]
    best = max(sorted(moves), key=relief, default=None)
    return None if best is None or relief(best) < least_relief else best
