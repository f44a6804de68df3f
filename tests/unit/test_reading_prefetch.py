import threading
from collections.abc import Iterator

import pytest

from recording_worker.reading.prefetch import prefetch
from recording_worker.storage.base import MAX_CONCURRENT_READS


def test_several_are_read_at_a_time_and_come_in_order() -> None:
    together = threading.Barrier(MAX_CONCURRENT_READS, timeout=10)

    def read(number: int) -> int:
        together.wait()
        return number

    assert list(prefetch(read, range(3 * MAX_CONCURRENT_READS))) == list(range(3 * MAX_CONCURRENT_READS))


def test_it_reads_only_a_few_items_ahead() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            asked.append(number)
            yield number

    reading = prefetch(lambda number: number, items())
    assert [next(reading) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(asked) < 5 + MAX_CONCURRENT_READS


def test_an_error_of_a_read_comes_in_its_place_and_ends_it() -> None:
    def read(number: int) -> int:
        if number == 3:
            raise ValueError("the third")
        return number

    reading = prefetch(read, range(100))
    assert [next(reading) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(reading)
    with pytest.raises(StopIteration):
        next(reading)


def test_stopping_early_leaves_no_thread_behind() -> None:
    before = set(threading.enumerate())
    read: list[int] = []
    reading = prefetch(read.append, range(100))
    next(reading)
    reading.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive()
    assert len(read) <= MAX_CONCURRENT_READS
