from collections.abc import Callable
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from recording_worker.operations.verify.offset_set import OffsetSet, ranges

# close together and far apart, as the messages of several blocks lie
offsets = st.one_of(st.integers(0, 200), st.integers(32_700, 32_900), st.integers(0, 2**63 - 1))


@given(st.lists(offsets, max_size=200))
def test_it_is_a_set(given: list[int]) -> None:
    found, plain = OffsetSet(), set[int]()
    for offset in given:
        assert found.add(offset) == (offset not in plain)
        plain.add(offset)


def test_every_offset_of_a_page_has_a_bit_of_its_own() -> None:
    found = OffsetSet()
    assert all(found.add(offset) for offset in range(70_000))
    assert not any(found.add(offset) for offset in range(70_000))


@given(st.sets(st.integers(0, 50)))
def test_ranges_hold_each_offset_once_and_never_touch(given: set[int]) -> None:
    found = ranges(sorted(given))
    assert [offset for first, last in found for offset in range(first, last + 1)] == sorted(given)
    assert all(later - last > 1 for (_, last), (later, _) in pairwise(found))


def test_offsets_near_and_far_are_added_once_and_joined_to_ranges() -> None:
    seen = OffsetSet()
    added: Callable[[int], bool] = seen.add
    assert [added(offset) for offset in (0, 7, 8, 2**40, 7, 2**40, 2**40 + 1)] == [True] * 4 + [False] * 2 + [True]
    assert ranges([1, 2, 3, 7, 9, 10]) == [(1, 3), (7, 7), (9, 10)]
    assert ranges([]) == []
