import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.errors import WorkerError
from recording_worker.formats.batch_file import BatchFileError
from recording_worker.reading.batch_files import Block, read_blocks, read_index
from recording_worker.reading.prefetch import MAX_BYTES_AHEAD, prefetch
from recording_worker.reading.session_events import check_one_team, session_lines
from recording_worker.storage.base import MAX_CONCURRENT_READS
from recording_worker.storage.local.file import find_files
from tests.batch_files import batch_file, block, line, undamaged, write_batch_file
from tests.unit.test_reading_index import InMemory


def blocks_of(content: bytes) -> list[Block]:
    file = InMemory(content)
    index = read_index(file)
    return [Block(file, index, entry) for entry in index.blocks]


def test_events_come_by_time_and_equal_times_by_source_order() -> None:
    late = batch_file([block([(5, [line(30, n=1), line(10, n=2)]), (6, [line(10, n=3)])])])
    early = batch_file([block([(3, [line(20, n=4), line(10, n=5)])])])
    lines = list(session_lines([*blocks_of(late), *blocks_of(early)], undamaged))
    assert lines == [line(10, n=5), line(10, n=2), line(10, n=3), line(20, n=4), line(30, n=1)]


def test_a_message_that_was_flushed_twice_comes_once() -> None:
    first = batch_file([block([(1, [line(1)]), (2, [line(2)])])])
    again = batch_file([block([(2, [line(2)]), (3, [line(3), line(3)]), (2, [line(2)])])])
    other = batch_file([block([(1, [line(4)])], source="recordings/1")])
    lines = list(session_lines([block for file in (again, first, other) for block in blocks_of(file)], undamaged))
    assert lines == [line(1), line(2), line(3), line(3), line(4)]


@given(st.data())
def test_any_split_into_batches_with_any_repeats_gives_each_message_once(data: st.DataObject) -> None:
    times = data.draw(st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=4), min_size=1, max_size=12))
    stream = [(offset, [line(time, n=offset, m=n) for n, time in enumerate(of)]) for offset, of in enumerate(times)]
    # runs of the stream that begin anywhere, as after crashes, and together cover all of it
    begins = data.draw(st.lists(st.integers(0, len(stream) - 1), max_size=4))
    runs = [stream[begin : begin + data.draw(st.integers(1, len(stream)))] for begin in begins]
    files = [batch_file([block(run)]) for run in data.draw(st.permutations([stream, *runs]))]
    lines = list(session_lines([block for file in files for block in blocks_of(file)], undamaged))
    events = [text for _, texts in stream for text in texts]
    assert lines == sorted(events, key=lambda text: json.loads(text)[1]["timestamp"])


def test_lines_come_unchanged() -> None:
    odd = [
        b'["",{"timestamp":1,"data":"\\ud83d","n":' + b"9" * 5000 + b"}]",
        b'["w",{"timestamp": 2 ,"data":' + b"[" * 4128 + b"]" * 4128 + b"}]",
        '["\u2028",{"\\u0074imestamp":3,"data":"é\x85"}]'.encode(),
    ]
    assert list(session_lines(blocks_of(batch_file([block([(0, odd)])])), undamaged)) == odd


def test_a_session_id_of_several_teams_is_refused() -> None:
    content = batch_file([block([(1, [line(1)])], team_id=12), block([(2, [line(2)])], team_id=3)])
    with pytest.raises(WorkerError, match=r"several teams: say which with --team \(3, 12\)"):
        check_one_team(blocks_of(content), "session-1")
    check_one_team(blocks_of(content)[:1], "session-1")


@pytest.mark.parametrize(
    ("lines", "counts", "text"),
    [([line(1)], [(0, 2)], "does not hold as many lines"), ([b"no event"], [(0, 1)], "a line that is not an event")],
)
def test_a_block_unlike_its_index_is_left_out_and_reported(
    lines: list[bytes], counts: list[tuple[int, int]], text: str
) -> None:
    entry, content = block([(0, lines)])
    entry.messages, entry.events = counts, sum(count for _, count in counts)
    problems: list[BatchFileError] = []
    good = blocks_of(batch_file([block([(5, [line(5)])])]))
    assert list(session_lines([*blocks_of(batch_file([(entry, content)])), *good], problems.append)) == [line(5)]
    [problem] = map(str, problems)
    assert text in problem


def test_files_on_disk_are_read_the_same(tmp_path: Path) -> None:
    write_batch_file(tmp_path, block([(1, [line(1)])]), block([(2, [line(2)])], "other"))
    (found,) = read_blocks(find_files([str(tmp_path)]))
    assert isinstance(found, list)
    assert list(session_lines(found, undamaged)) == [line(1), line(2)]


def parts(count: int) -> list[Block]:
    """Blocks of 1,000 events each, one after the other in time, in a file of their own each."""
    files = [batch_file([block([(n, [line(1 + n * 1000 + m) for m in range(1000)])])]) for n in range(count)]
    return [at for file in files for at in blocks_of(file)]


def test_a_block_is_not_read_before_its_time() -> None:
    blocks = parts(60)
    lines = session_lines(reversed(blocks), undamaged)
    assert [json.loads(next(lines))[1]["timestamp"] for _ in range(1500)] == list(range(1, 1501))
    read = sum(len(file.reads) > 2 for block in blocks if isinstance(file := block.file, InMemory))
    assert read <= 2 + MAX_CONCURRENT_READS
    assert len(list(lines)) == 58_500


def test_blocks_one_after_the_other_fit_into_the_memory_of_two() -> None:
    blocks = parts(20)
    one = blocks[0].entry.size + 200 * blocks[0].entry.events
    assert len(list(session_lines(blocks, undamaged, max_bytes=int(2.5 * one)))) == 20_000


def test_what_does_not_fit_into_memory_is_left_out_and_named() -> None:
    entries = [block([(n, [line(1, n=n), *[line(5)] * 100, line(9, n=n)])]) for n in range(5)]
    blocks = [at for entry in entries for at in blocks_of(batch_file([entry]))]
    one = blocks[0].entry.size + 200 * blocks[0].entry.events
    problems: list[BatchFileError] = []
    lines = list(session_lines(blocks, problems.append, max_bytes=int(2.5 * one)))
    assert [json.loads(text)[1]["data"]["n"] for text in (*lines[:2], *lines[-2:])] == [0, 1, 0, 1]
    assert len(lines) == 204
    left_out = f"can't be unpacked: with it, the recording takes more than {int(2.5 * one):,} bytes of memory"
    assert [str(problem) for problem in problems] == [f"file: block at byte 0 {left_out}"] * 3
    file = blocks[0].file
    assert isinstance(file, InMemory)
    file.reads.clear()
    assert list(session_lines(blocks[:1], problems.append, max_bytes=one - 1)) == []
    assert file.reads == [], "it is not even read"


def test_an_event_from_outside_of_its_blocks_time_is_damage() -> None:
    entry, content = block([(0, [line(10), line(20)])])
    for wrong in (replace(entry, first_timestamp=15.0), replace(entry, last_timestamp=15.0)):
        problems: list[BatchFileError] = []
        damaged = batch_file([(wrong, content)])
        assert list(session_lines(blocks_of(damaged), problems.append)) == []
        assert "an event that is not between its first and its last" in str(problems[0])


def test_little_is_read_ahead_if_it_takes_much() -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            asked.append(number)
            yield number

    reading = prefetch(lambda number: number, items(), lambda _: MAX_BYTES_AHEAD // 2)
    assert [next(reading) for _ in range(5)] == [0, 1, 2, 3, 4]
    assert len(asked) <= 8
    assert list(reading) == list(range(5, 100))
    assert list(prefetch(lambda number: number, range(20), lambda _: MAX_BYTES_AHEAD * 2)) == list(range(20))
