"""Columns of a poll's messages, and what is done with all rows at once: compared with plain Python."""

import re
import sys
from array import array
from bisect import bisect_left
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker import _native

texts = st.lists(st.one_of(st.none(), st.text(max_size=3), st.sampled_from(["a", "b", ""])), max_size=60)
codes = st.lists(st.integers(-1, 4), max_size=60)


@given(texts)
def test_equal_texts_have_equal_codes_in_the_order_of_their_first_rows(column: list[str | None]) -> None:
    made = _native.TextColumn(column)
    distinct = list(dict.fromkeys(column))
    assert list(made) == column
    assert made.distinct == distinct
    assert list(made.codes) == [distinct.index(text) for text in column]


@given(texts, st.integers(0, 70))
def test_a_truncated_column_is_that_of_its_first_rows(column: list[str | None], rows: int) -> None:
    made, short = _native.TextColumn(column), _native.TextColumn(column[:rows])
    assert len(made.codes) == len(column)
    made.truncate(rows)
    assert list(made) == list(short)
    assert (made.codes, made.distinct) == (short.codes, short.distinct)


def test_a_row_outside_of_the_column() -> None:
    column = _native.TextColumn(["a"])
    for row in (1, -1):
        with pytest.raises(IndexError):
            column[row]


def test_columns_without_rows_keep_nothing_alive() -> None:
    value, name = bytes(1000), "n" * 1000
    idle = sys.getrefcount(value), sys.getrefcount(name)
    values, headers = _native.ByteColumn([value]), _native.HeaderColumn([[(name, value)]])
    held = sys.getrefcount(value), sys.getrefcount(name)
    assert held > idle
    kept = values[1:], headers[1:]
    for _ in range(3):  # what is left of one poll follows what is left of the one before
        kept = _native.ByteColumn() + kept[0] + values[1:], _native.HeaderColumn() + kept[1] + headers[1:]
    both = values + kept[0], kept[1] + headers
    assert [both[0][0], both[1][0]] == [value, [(name, value)]]
    del values, headers, both
    assert (sys.getrefcount(value), sys.getrefcount(name)) == idle
    assert [len(column) for column in kept] == [0, 0]


headers = st.lists(st.tuples(st.sampled_from(["a", "b\0", "\0a", "other"]), st.one_of(st.none(), st.binary())))


@given(st.lists(headers))
def test_texts_of_headers_are_the_last_values_without_nul(rows: list[list[tuple[str, bytes | None]]]) -> None:
    expected: dict[str, list[str | None]] = {"a": [], "b": [], "c": []}
    for row in rows:
        given = [(key.replace("\0", ""), value) for key, value in row if value is not None]
        last = {key: value.decode(errors="replace").replace("\0", "") for key, value in given}
        for name, column in expected.items():
            column.append(last.get(name))
    columns = _native.HeaderColumn(rows).texts(tuple(expected))
    assert [list(column) for column in columns] == list(expected.values())


@given(st.lists(headers), st.lists(headers), st.slices(20))
def test_headers_come_back_from_parts_of_columns(
    one: list[list[tuple[str, bytes | None]]], other: list[list[tuple[str, bytes | None]]], part: slice
) -> None:
    def read(column: _native.HeaderColumn) -> list[list[tuple[str, bytes | None]]]:
        return [column[row] for row in range(len(column))]

    column = _native.HeaderColumn(one) + _native.HeaderColumn(other)
    assert read(column) == one + other
    assert read(column[part]) == (one + other)[part]
    assert [list(texts) for texts in column[part].texts(("a",))] == [
        list(texts) for texts in _native.HeaderColumn((one + other)[part]).texts(("a",))
    ]


values = st.lists(st.one_of(st.none(), st.binary(max_size=5)), max_size=20)


@given(values, values, st.slices(20))
def test_bytes_come_back_from_parts_of_columns(one: list[bytes | None], other: list[bytes | None], part: slice) -> None:
    column = _native.ByteColumn(one) + _native.ByteColumn(other)
    for made, expected in ((column, one + other), (column[part], (one + other)[part])):
        assert [made[row] for row in range(len(made))] == expected
        assert [made.size(row) for row in range(len(made))] == [len(value or b"") for value in expected]
        assert made.total == sum(len(value or b"") for value in expected)
        assert made.filled == sum(value is not None for value in expected)


@pytest.mark.parametrize("column", [_native.ByteColumn([b""]), _native.HeaderColumn([[]])])
def test_rows_outside_of_a_column(column: _native.ByteColumn | _native.HeaderColumn) -> None:
    for row in (1, -1):
        with pytest.raises(IndexError):
            column[row]


def test_entries_of_the_wrong_type_are_refused() -> None:
    wrong: Any = ["text"]
    with pytest.raises(TypeError):
        _native.ByteColumn(wrong)
    wrong = [[("name", "text")]]
    with pytest.raises(TypeError):
        _native.HeaderColumn(wrong)


@given(codes, st.dictionaries(st.integers(0, 4), st.tuples(st.integers(1, 4), st.integers(0, 255), st.integers(0, 9))))
def test_rows_end_as_their_code_says_if_they_have_not_ended(
    column: list[int], endings: dict[int, tuple[int, int, int]]
) -> None:
    rows = len(column)
    endings = {code: ending for code, ending in endings.items() if code < rows}
    dispositions = bytearray(row % 3 == 0 for row in range(rows))
    reasons, causes = bytearray(rows), array("I", [0] * rows)
    before = bytes(dispositions)
    _native.end_rows(dispositions, reasons, causes, array("i", column), endings)
    for row, code in enumerate(column):
        expected = endings.get(code, (0, 0, 0)) if not before[row] else (before[row], 0, 0)
        assert (dispositions[row], reasons[row], causes[row]) == expected


@given(codes, st.dictionaries(st.integers(0, 4), st.integers(0, 255)))
def test_entries_are_set_by_their_code(column: list[int], values: dict[int, int]) -> None:
    values = {code: value for code, value in values.items() if code < len(column)}
    entries = bytearray([7]) * len(column)
    _native.set_rows(entries, array("i", column), values)
    assert list(entries) == [values.get(code, 7) for code in column]


@given(st.lists(st.tuples(st.booleans(), st.integers(-1, 3), st.integers(-1, 3)), max_size=60))
def test_rows_that_agree_in_two_columns_are_a_group(rows: list[tuple[bool, int, int]]) -> None:
    ended, one, other = ([row[column] for row in rows] for column in range(3))
    groups, first = _native.group_rows(bytearray(ended), array("i", one), array("i", other))
    expected = list(dict.fromkeys(row[1:] for row in rows if not row[0]))
    assert list(groups) == [-1 if row[0] else expected.index(row[1:]) for row in rows]
    assert first == [next(at for at, row in enumerate(rows) if not row[0] and row[1:] == pair) for pair in expected]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 4), st.integers(0, 42)), max_size=60))
def test_outcomes_are_counted(rows: list[tuple[int, int, int]]) -> None:
    partitions, dispositions, reasons = ([row[column] for row in rows] for column in range(3))
    counted = _native.count_outcomes(array("q", partitions), bytearray(dispositions), bytearray(reasons))
    assert counted == Counter(rows)


@given(st.lists(st.integers(0, 3), max_size=60))
def test_ranges_have_the_first_offset_and_the_one_after_the_last(partitions: list[int]) -> None:
    offsets = [100 + 2 * row for row in range(len(partitions))]
    expected = {}
    for number in dict.fromkeys(partitions):
        own = [offset for offset, other in zip(offsets, partitions, strict=True) if other == number]
        expected[number] = (own[0], own[-1] + 1, len(own))
    assert _native.offset_ranges(array("q", partitions), array("q", offsets)) == expected


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-2000, 4000) | st.integers(-(2**63), 2**63 - 1)), max_size=60))
def test_rows_are_counted_by_second(rows: list[tuple[int, int]]) -> None:
    partitions, times = array("q", [row[0] for row in rows]), array("q", [row[1] for row in rows])
    known = [(partition, ms // 1000) for partition, ms in rows if 0 <= ms < 253_402_300_800_000]
    assert _native.count_seconds(partitions, times) == Counter(known)


MIDNIGHT = datetime(1970, 1, 1, tzinfo=UTC)
moments = st.datetimes(min_value=datetime(1970, 1, 2), timezones=st.timezones() | st.just(UTC))  # noqa: DTZ001 - a bound, which has no zone


def of_whole_minutes(moment: datetime) -> bool:
    offset = moment.utcoffset()
    return offset is not None and offset.total_seconds() % 60 == 0


@given(moments.filter(of_whole_minutes), st.sampled_from("T "), st.sampled_from(["auto", "milliseconds", "seconds"]))
def test_times_are_read_as_python_reads_them(moment: datetime, separator: str, precision: str) -> None:
    text = moment.isoformat(separator, precision)
    expected = (datetime.fromisoformat(text) - MIDNIGHT) // timedelta(milliseconds=1)
    assert list(_native.TextColumn([text]).times()) == [expected]
    if moment.tzinfo is UTC:
        assert list(_native.TextColumn([text.replace("+00:00", "Z")]).times()) == [expected]


@given(st.lists(st.none() | st.text("0123456789-:.TZ+ ", max_size=30) | st.text(max_size=5), max_size=5))
def test_other_texts_are_no_times(texts: list[str | None]) -> None:
    def is_time(text: str | None) -> bool:
        return text is not None and re.fullmatch(r"\d{4}(-\d\d){2}[T ](\d\d:){2}\d\d.*", text) is not None

    column = _native.TextColumn(texts)
    assert all(ms == -1 for text, ms in zip(texts, column.times(), strict=True) if not is_time(text))


@pytest.mark.parametrize(
    "text",
    [
        *("1969-12-31T23:59:59Z", "1970-01-01T00:30:00+01:00", "2026-02-29T00:00:00Z", "2100-02-29T00:00:00Z"),
        *("2026-00-01T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-04-31T00:00:00Z"),
        *("2026-01-01T24:00:00Z", "2026-01-01T00:60:00Z", "2026-01-01T00:00:61Z", "2026-01-01T00:00:00"),
        *("2026-01-01T00:00:00.Z", "2026-01-01T00:00:00Z ", "2026-01-01T00:00:00+0100", "2026-01-01T00:00:00+24:00"),
        *("2026-01-01T00:00Z", "2026-1-01T00:00:00Z", "", "1795000000000"),
    ],
)
def test_what_is_no_time_since_1970(text: str) -> None:
    assert list(_native.TextColumn([text, "2024-02-29t23:59:60.1239z", None]).times()) == [-1, 1709251200123, -1]


def test_columns_of_different_lengths_and_codes_of_no_row_are_refused() -> None:
    one, two = array("i", [0]), array("i", [0, 0])
    with pytest.raises(ValueError, match="one entry a row"):
        _native.end_rows(bytearray(1), bytearray(1), array("I", [0]), two, {})
    with pytest.raises(ValueError, match="one entry a row"):
        _native.set_rows(bytearray(2), one, {})
    with pytest.raises(ValueError, match="one entry a row"):
        _native.group_rows(bytearray(1), one, two)
    with pytest.raises(ValueError, match="one entry a row"):
        _native.count_outcomes(array("q", [0]), bytearray(1), bytearray(2))
    with pytest.raises(ValueError, match="one entry a row"):
        _native.offset_ranges(array("q", [0]), array("q"))
    with pytest.raises(ValueError, match="one entry a row"):
        _native.count_seconds(array("q", [0]), array("q"))
    for code in (-1, 1):
        with pytest.raises(ValueError, match="code"):
            _native.end_rows(bytearray(1), bytearray(1), array("I", [0]), one, {code: (1, 1, 1)})
        with pytest.raises(ValueError, match="code"):
            _native.set_rows(bytearray(1), one, {code: 1})


@given(
    st.lists(st.none() | st.builds(bytes, st.integers(0, 40)), max_size=30),
    st.lists(st.integers(0, 40), max_size=6, unique=True).map(sorted),
)
def test_sizes_are_counted_by_the_bounds_that_they_are_within(values: list[bytes | None], bounds: list[int]) -> None:
    wanted = [0] * (len(bounds) + 1)
    for value in values:
        if value is not None:
            wanted[bisect_left(bounds, len(value))] += 1
    assert _native.ByteColumn(values).count_sizes(array("q", bounds)) == wanted
