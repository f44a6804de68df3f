"""The native decoder gives what the reference gives, for any input."""

import json
import random
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from recording_worker.outcome import Reason
from tests.builders import NOW_MS
from tests.decoders import assert_same, decode_native, decode_reference
from tests.inputs import Input, plain_value
from tests.property import generate
from tests.property.mutate import damage, damage_value

clocks = st.sampled_from([None, NOW_MS, NOW_MS + 604_797_500])


@given(st.lists(generate.rows, min_size=1, max_size=5), clocks, st.booleans())
def test_messages(rows: list[Input], now_ms: int | None, rule: bool) -> None:
    """Messages valid or nearly so, in a batch."""
    native = decode_native(rows, now_ms, far_item_drops_message=rule)
    assert_same(native, decode_reference(rows, now_ms, far_item_drops_message=rule))


@st.composite
def uuids_or_nearly_so(draw: st.DrawFn) -> str:
    text = [draw(st.sampled_from((str.upper, str.lower)))(letter) for letter in str(draw(st.uuids()))]
    for place in draw(st.lists(st.integers(0, 35), max_size=2)):
        text[place] = draw(st.sampled_from(["A", "f", "G", "@", "`", "-", "_", "0", ":", "", "aa", "é", "\r"]))
    return "".join(text)


@given(st.lists(st.tuples(uuids_or_nearly_so(), st.sampled_from(["none", "same", "upper", "other"])), min_size=1))
def test_session_ids_that_are_uuids(ids: list[tuple[str, str]]) -> None:
    rows = []
    for session_id, header in ids:
        value = plain_value(properties={"$session_id": json.dumps(session_id)})
        headers = {"none": None, "same": session_id, "upper": session_id.upper(), "other": session_id[1:]}
        rows.append(Input(value, session_id_header=headers[header]))
    assert_same(decode_native(rows, normalize_session_ids=True), decode_reference(rows, normalize_session_ids=True))
    assert_same(decode_native(rows), decode_reference(rows))


near = NOW_MS - 30 * 86_400_000, NOW_MS + 30 * 86_400_000
moments = st.integers(*near).map(lambda ms: datetime.fromtimestamp(ms / 1000, UTC).replace(tzinfo=None))
times = st.one_of(
    st.builds(lambda moment, zone: f"{moment.isoformat()}{zone}", moments, st.sampled_from(["Z", "+00:00", "-05:30"])),
    st.sampled_from(
        ["", "now", "1969-12-31T23:59:59Z", "2026-11-23", "2026-11-23T19:21:60.5z", "9999-12-31T00:00:00Z"]
    ),
)


@given(st.lists(generate.rows, min_size=1, max_size=3), times, times, st.sampled_from([None, NOW_MS]), st.booleans())
def test_messages_of_devices_with_wrong_clocks(
    rows: list[Input], now: str, sent_at: str, now_ms: int | None, far: bool
) -> None:
    """Messages whose times are shifted. With `far`, no item is too far from now, so that any time is shifted."""
    options: dict[str, Any] = {"max_timestamp_diff_ms": 2**53} if far else {}
    said = {"now": json.dumps(now), "sent_at": json.dumps(sent_at)}
    events = [
        f'{{"timestamp":{text},"type":3,"x":[1, 2]\n}}' for text in ("1", "2.5", str(NOW_MS), f"{NOW_MS}.25e0", "8e15")
    ]
    rows = [*rows, Input(plain_value(events, envelope=said)), Input(plain_value(envelope=said))]
    native = decode_native(rows, now_ms, correct_clock_skew=True, **options)
    assert_same(native, decode_reference(rows, now_ms, correct_clock_skew=True, **options))
    assert_same(
        decode_native(rows, now_ms, correct_clock_skew=True, unpack=True),
        decode_reference(rows, now_ms, correct_clock_skew=True, unpack=True),
    )


@given(st.lists(generate.rows, min_size=1, max_size=5))
def test_messages_unpacked(rows: list[Input]) -> None:
    """Messages valid or nearly so, with their packed events unpacked."""
    assert_same(decode_native(rows, unpack=True), decode_reference(rows, unpack=True))


@given(st.lists(generate.any_rows, min_size=1, max_size=5), clocks)
def test_any_bytes(rows: list[Input], now_ms: int | None) -> None:
    """Bytes that were never a message."""
    assert_same(decode_native(rows, now_ms), decode_reference(rows, now_ms))


@given(generate.rows, generate.chances)
def test_damaged_values(row: Input, chance: random.Random) -> None:
    """A generated message whose value is damaged."""
    damaged = damage_value(row, chance)
    assert_same(decode_native([damaged]), decode_reference([damaged]))


@given(generate.plains, generate.chances)
def test_damaged_texts(plain: bytes, chance: random.Random) -> None:
    """A generated message whose text is damaged."""
    damaged = Input(damage(plain, chance))
    assert_same(decode_native([damaged]), decode_reference([damaged]))


@given(st.lists(generate.rows, min_size=1, max_size=3), st.integers(0, 2_000))
def test_cap(rows: list[Input], cap: int) -> None:
    """A small cap: messages that are larger after decompression are too large. The others do not change."""
    assert_same(decode_native(rows, max_decompressed_bytes=cap), decode_reference(rows, max_decompressed_bytes=cap))


@given(st.lists(generate.rows, min_size=1, max_size=6), generate.chances)
def test_order_and_company_change_nothing(rows: list[Input], chance: random.Random) -> None:
    """A message ends the same in any batch, and at any place in the batch."""
    order = list(range(len(rows)))
    chance.shuffle(order)
    batch = decode_native(rows).rows
    shuffled = decode_native([rows[index] for index in order]).rows
    assert shuffled == tuple(batch[index] for index in order)
    assert batch == tuple(decode_native([row]).rows[0] for row in rows)


def test_many_messages_from_a_seed() -> None:
    """Many more messages, which hypothesis can't shrink. They must be of all kinds."""
    generator = generate.Generator(random.Random(20_260_102))
    ends: Counter[Reason] = Counter()
    for _ in range(2 * settings().max_examples):
        rows = [generator.row() for _ in range(8)]
        for unpack in (False, True):
            reference = decode_reference(rows, unpack=unpack)
            assert_same(decode_native(rows, unpack=unpack), reference)
        ends.update(row.reason for row in reference.rows)
    not_generated = {Reason.MESSAGE_VALUE_OR_TIMESTAMP_IS_EMPTY, Reason.PAYLOAD_TOO_LARGE}
    assert set(ends) == {reason for reason in Reason if reason < Reason.NO_TOKEN_IN_HEADER} - not_generated
    assert ends[Reason.NONE] > ends.total() / 4
