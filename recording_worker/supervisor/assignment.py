"""Which worker gets a partition: a pure function."""

from collections.abc import Collection, Mapping


def assign_partitions(
    partitions: Collection[int], workers: Collection[int], current: Mapping[int, int]
) -> dict[int, int]:
    """Partition → worker, for every partition.

    `current` says who has which partition now; entries of partitions or workers that are not
    given count as nobody's. No worker gets two partitions more than another; within that, as few as can
    be change hands, and those that do go to whoever has least.
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
