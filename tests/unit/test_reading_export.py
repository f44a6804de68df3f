import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.errors import WorkerError
from recording_worker.formats.batch_file import BatchFileError
from recording_worker.reading.batch_files import Block, read_blocks, read_index
from recording_worker.reading.session_events import check_one_team, session_lines
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
    lines = session_lines([*blocks_of(late), *blocks_of(early)], undamaged)
    assert lines == [line(10, n=5), line(10, n=2), line(10, n=3), line(20, n=4), line(30, n=1)]


def test_a_message_that_was_flushed_twice_comes_once() -> None:
    first = batch_file([block([(1, [line(1)]), (2, [line(2)])])])
    again = batch_file([block([(2, [line(2)]), (3, [line(3), line(3)]), (2, [line(2)])])])
    other = batch_file([block([(1, [line(4)])], source="recordings/1")])
    lines = session_lines([block for file in (again, first, other) for block in blocks_of(file)], undamaged)
    assert lines == [line(1), line(2), line(3), line(3), line(4)]


@given(st.data())
def test_any_split_into_batches_with_any_repeats_gives_each_message_once(data: st.DataObject) -> None:
    times = data.draw(st.lists(st.lists(st.integers(1, 50), min_size=1, max_size=4), min_size=1, max_size=12))
    stream = [(offset, [line(time, n=offset, m=n) for n, time in enumerate(of)]) for offset, of in enumerate(times)]
    # runs of the stream that begin anywhere, as after crashes, and together cover all of it
    begins = data.draw(st.lists(st.integers(0, len(stream) - 1), max_size=4))
    runs = [stream[begin : begin + data.draw(st.integers(1, len(stream)))] for begin in begins]
    files = [batch_file([block(run)]) for run in data.draw(st.permutations([stream, *runs]))]
    lines = session_lines([block for file in files for block in blocks_of(file)], undamaged)
    events = [text for _, texts in stream for text in texts]
    assert lines == sorted(events, key=lambda text: json.loads(text)[1]["timestamp"])


def test_lines_come_unchanged() -> None:
    odd = [
        b'["",{"timestamp":1,"data":"\\ud83d","n":' + b"9" * 5000 + b"}]",
        b'["w",{"timestamp": 2 ,"data":' + b"[" * 4128 + b"]" * 4128 + b"}]",
        '["\u2028",{"\\u0074imestamp":3,"data":"é\x85"}]'.encode(),
    ]
    assert session_lines(blocks_of(batch_file([block([(0, odd)])])), undamaged) == odd


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
    assert session_lines([*blocks_of(batch_file([(entry, content)])), *good], problems.append) == [line(5)]
    [problem] = map(str, problems)
    assert text in problem


def test_files_on_disk_are_read_the_same(tmp_path: Path) -> None:
    write_batch_file(tmp_path, block([(1, [line(1)])]), block([(2, [line(2)])], "other"))
    (found,) = read_blocks(find_files([str(tmp_path)]))
    assert isinstance(found, list)
    assert session_lines(found, undamaged) == [line(1), line(2)]
