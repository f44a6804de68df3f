"""benchmarks.together: blocks of several messages of a session."""

from click.testing import CliRunner

from benchmarks.contenders.native_core import polls
from benchmarks.message_sets import load_messages
from benchmarks.together import blocks_of, main, sessions_of
from tests.sample import SAMPLE


def test_a_block_holds_as_many_messages_of_a_session_as_asked_for() -> None:
    sessions = [[b"1", b"2", b"3"], [b"4"]]
    assert list(blocks_of(sessions, 1)) == [b"1", b"2", b"3", b"4"]
    assert list(blocks_of(sessions, 2)) == [b"12", b"3", b"4"]
    assert list(blocks_of(sessions, 0)) == [b"123", b"4"]


def test_all_messages_are_in_the_blocks() -> None:
    messages, _ = load_messages([SAMPLE])
    sessions = sessions_of(polls(messages), unpack=False)
    assert sum(map(len, sessions)) == len(messages)
    assert len(sessions) == len({message.session_id for message in messages})


def test_blocks_of_more_messages_are_smaller() -> None:
    done = CliRunner().invoke(main, [str(SAMPLE)])
    assert done.exit_code == 0, done.output
    rows = [line.strip("| ").split(" | ") for line in done.output.splitlines()]
    assert [row[0] for row in rows[2:]] == ["1", "2", "3", "4", "6", "all"]
    assert 0 < float(rows[-1][1]) < float(rows[2][1]) < 1
