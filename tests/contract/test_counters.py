"""The rules the counters follow, each by examples. URLs and the console have files of their own."""

import pytest

from tests.builders import NOW_MS
from tests.contract.blocks import block_of
from tests.decoders import Decode
from tests.inputs import Input, event_text, plain_value


def numbers_around(*numbers: str) -> list[str]:
    """JSON values that are one of the numbers, and values that are almost one."""
    near = ["-1", "0", "true", "false", "null", '"2"', "[2]", "{}", "2.5", "1e999", "18446744073709551618", "8", "10"]
    return [*numbers, *near]


THREES = ["3", "3.0", "3e0", "30e-1", "0.3E1", "3.00000000000000000001"]
"""Spellings of the number 3."""


@pytest.mark.parametrize("event_type", numbers_around(*THREES))
def test_click_is_type_3_source_2_and_a_click_interaction(decode: Decode, event_type: str) -> None:
    block = block_of(decode, event_text('{"source":2,"type":2}', type=event_type))
    assert block.click_count == (event_type in THREES)


@pytest.mark.parametrize("interaction", [str(number) for number in range(12)] + ["2.0", '"2"', "true", "null", "[]"])
def test_click_interactions(decode: Decode, interaction: str) -> None:
    block = block_of(decode, event_text(f'{{"source":2,"type":{interaction}}}'))
    assert block.click_count == (interaction in ("2", "3", "4", "9", "2.0"))
    assert block.mouse_activity_count == 1


@pytest.mark.parametrize("source", [*(str(number) for number in range(20)), "5.0", "true", '"5"', "null", "[5]", "5.5"])
def test_sources(decode: Decode, source: str) -> None:
    block = block_of(decode, event_text(f'{{"source":{source},"type":2}}'))
    assert block.click_count == (source == "2")
    assert block.keypress_count == (source in ("5", "5.0"))
    assert block.mouse_activity_count == (source in ("1", "2", "6"))
    assert block.active_milliseconds == (source in ("1", "2", "3", "4", "5", "5.0", "6", "7", "12"))


@pytest.mark.parametrize("event_type", ["2", "4", "5", "6", "null", '"3"', None])
def test_sources_count_in_incremental_events_only(decode: Decode, event_type: str | None) -> None:
    block = block_of(decode, *(event_text(f'{{"source":{source},"type":2}}', type=event_type) for source in range(13)))
    assert (block.click_count, block.keypress_count, block.mouse_activity_count) == (0, 0, 0)
    assert block.active_milliseconds == 0


@pytest.mark.parametrize(
    "data", [None, "null", '"source"', "[2,2]", '[{"source":2,"type":2}]', '{"payload":{"source":2,"type":2}}', "2"]
)
def test_source_is_a_member_of_data(decode: Decode, data: str | None) -> None:
    block = block_of(decode, event_text(data, source="2", type="3"))
    assert (block.click_count, block.mouse_activity_count, block.active_milliseconds) == (0, 0, 0)


def test_last_of_repeated_keys_counts(decode: Decode) -> None:
    block = block_of(
        decode,
        event_text('{"source":5,"source":2,"type":2,"type":1}'),
        event_text('{"source":2,"type":2},"data":{"type":2}'),
        event_text('{"source":2,"type":2},"data":null'),
        event_text('null,"data":{"source":2,"type":2}'),
        event_text('{"source":2,"type":2}', type='3,"type":4'),
        event_text('{"href":"a","href":5}', type="4"),
        event_text('{"payload":{"href":"b"},"payload":{}}', type="4"),
        event_text('{"href":"c"},"data":{"payload":{"href":"d"}}', type="4"),
    )
    assert (block.click_count, block.keypress_count, block.mouse_activity_count) == (1, 0, 2)
    assert block.urls == ["d"]


@pytest.mark.parametrize(
    ("event_type", "full"), [("2", True), ("2.0", True), ("20e-1", True), ("3", False), ('"2"', False)]
)
def test_full_snapshot(decode: Decode, event_type: str, full: bool) -> None:
    assert block_of(decode, event_text('"packed"', type=event_type)).has_full_snapshot is full


@pytest.mark.parametrize(
    ("events", "position", "at"),
    [
        ([(0, "3"), (1, "4")], None, None),
        ([(5, "2")], 0, 5),
        ([(0, "3"), (5, "2"), (9, "2")], 1, 5),
        ([(9, "2"), (0, "3"), (5, "2"), (5, "2.0")], 2, 5),
        ([(9, "2"), (9, "2"), (0, "3")], 0, 9),
        ([(9, "2"), (8.5, "2"), (8.75, "2")], 1, 8.5),
    ],
    ids=str,
)
def test_first_full_snapshot_is_the_earliest(
    decode: Decode, events: list[tuple[float, str]], position: int | None, at: float | None
) -> None:
    texts = [event_text('"packed"', type=event_type, timestamp=str(NOW_MS + ms)) for ms, event_type in events]
    whole = block_of(decode, *texts)
    split = decode([Input(plain_value([text])) for text in texts]).blocks["session-1"]
    for block in (whole, split):
        assert block.first_full_snapshot_position == position
        assert block.first_full_snapshot_timestamp == (None if at is None else NOW_MS + at)
        assert block.has_full_snapshot is (position is not None)


def test_the_position_of_a_full_snapshot_counts_lines(decode: Decode) -> None:
    """Items that are left out have no line."""
    events = ["5", event_text(type="2", timestamp="0"), event_text(), event_text(type="2")]
    block = block_of(decode, *events)
    assert (block.event_count, block.first_full_snapshot_position) == (2, 1)


# activity


@pytest.mark.parametrize(
    ("events", "milliseconds"),
    [
        ([(0, False)], 0),
        ([(0, True)], 1),
        ([(0, True), (0, True)], 1),
        ([(0, True), (100, True)], 100),
        ([(0, True), (100, False)], 100),
        ([(0, False), (100, True)], 1),
        ([(0, False), (100, True), (300, False)], 200),
        ([(0, True), (5_000, False)], 5_000),
        ([(0, True), (5_001, False)], 1),
        ([(0, True), (5_000, True), (10_000, True)], 10_000),
        ([(0, True), (5_001, True)], 2),
        ([(0, True), (5_001, True), (5_100, False)], 100),
        ([(0, True), (3_000, False), (6_000, False)], 3_000),
        ([(0, True), (3_000, False), (6_000, False), (6_500, True), (7_000, True)], 3_500),
        ([(0, False), (1, False), (9_000, False)], 0),
        ([(0, True), (6_000, False), (6_100, False), (20_000, False), (20_001, True)], 2),
        ([(7_000, True), (0, True), (6_500, False), (3_000, False), (6_000, False)], 3_001),
        ([(100, True), (0, False), (50, True)], 50),
    ],
    ids=str,
)
def test_active_milliseconds(decode: Decode, events: list[tuple[int, bool]], milliseconds: int) -> None:
    texts = [event_text(f'{{"source":{1 if active else 0}}}', timestamp=str(NOW_MS + at)) for at, active in events]
    assert block_of(decode, *texts).active_milliseconds == milliseconds
    split = decode([Input(plain_value([text])) for text in texts]).blocks["session-1"]
    assert split.active_milliseconds == milliseconds


def test_activity_of_all_windows_of_a_session_counts_together(decode: Decode) -> None:
    rows = [
        Input(plain_value([event_text(timestamp=str(NOW_MS + at))], properties={"$window_id": f'"{window}"'}))
        for at, window in ((0, "a"), (8_000, "a"), (4_000, "b"))
    ]
    block = decode(rows).blocks["session-1"]
    assert block.active_milliseconds == 8_000
    assert (block.first_timestamp, block.last_timestamp) == (NOW_MS, NOW_MS + 8_000)


# order and gaps


@pytest.mark.parametrize(
    ("times", "out_of_order", "gaps"),
    [
        ([0], 0, 0),
        ([0, 0, 0], 0, 0),
        ([0, 10_000], 0, 0),
        ([0, 10_000.5, 10_001], 0, 1),
        ([0, 10_001, 60_000], 0, 2),
        ([0, 20_000, 10_000], 1, 0),
        ([20_000, 10_000, 0], 2, 0),
        ([40_000, 0, 20_000, 19_000], 2, 2),
        ([5, 5, 4.5, 4.75], 1, 0),
    ],
    ids=str,
)
@pytest.mark.parametrize("source", ["0", "1"], ids=["idle", "active"])
def test_out_of_order_and_gaps(decode: Decode, times: list[float], out_of_order: int, gaps: int, source: str) -> None:
    """Out of order is by arrival, across messages too; gaps are of more than 10 s, in order of time."""
    texts = [event_text(f'{{"source":{source}}}', timestamp=str(NOW_MS + at)) for at in times]
    split = decode([Input(plain_value([text])) for text in texts]).blocks["session-1"]
    for block in (block_of(decode, *texts), split):
        assert (block.out_of_order_count, block.gap_count) == (out_of_order, gaps)


# source and library


def test_source_and_library_are_of_the_first_message_that_says(decode: Decode) -> None:
    says: list[tuple[str | None, str | None]] = [(None, None), (None, '"l1"'), ('"mobile"', None), ('"web"', '"l2"')]
    rows = [Input(plain_value(properties={"$snapshot_source": source, "$lib": lib})) for source, lib in says]
    block = decode(rows).blocks["session-1"]
    assert (block.snapshot_source, block.snapshot_library) == ("mobile", "l1")
    block = decode(rows[:1]).blocks["session-1"]
    assert (block.snapshot_source, block.snapshot_library) == ("web", None)


@pytest.mark.parametrize("character", ["a", "漢", "😀"])
def test_source_is_cut_to_1000_characters(decode: Decode, character: str) -> None:
    for length in (999, 1_000, 1_001, 5_000):
        value = plain_value(properties={"$snapshot_source": f'"{character * length}"'})
        assert decode([Input(value)]).blocks["session-1"].snapshot_source == character * min(length, 1_000)


def test_distinct_id_is_of_the_first_message(decode: Decode) -> None:
    rows = [Input(plain_value(envelope={"distinct_id": f'"user-{number}"'})) for number in (3, 1, 2)]
    assert decode(rows).blocks["session-1"].distinct_id == "user-3"
