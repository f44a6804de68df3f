from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recording_worker.formats.dlq_headers import Source, as_posthog, dlq_headers, source_of
from recording_worker.messages import Headers, Record
from recording_worker.operations.dlq.dead_letter import DeadLetter, Place, Selection, read_dead_letter
from recording_worker.outcome import Reason
from tests.builders import NOW_MS, TOPIC, headers
from tests.unit.dlq.dead_letters import LATER_MS, letter, record


def test_a_letter_holds_the_message_and_the_reason() -> None:
    own = [*headers(token="t\0oken"), ("dup", b"1"), ("dup", b"2")]
    found = read_dead_letter(record(7, 3, at=12, headers=own, reason=Reason.PAYLOAD_TOO_LARGE, value=b"\xff"))
    assert found == DeadLetter(
        place=Place(0, 12),
        timestamp_ms=LATER_MS,
        source=Source(TOPIC, 3, 7, NOW_MS),
        reason="payload_too_large",
        step="a_step",
        error="an error",
        key=b"session-1",
        value=b"\xff",
        headers=own,
    )
    assert (found.token, found.session_id, found.header("dup"), found.header("none")) == ("token", "session-1", "2", "")
    assert found.has_header("dup")
    assert not found.has_header("none")
    assert (str(found.place), str(found.source)) == ("0:12", f"{TOPIC}/3 at 7")


@given(
    st.text(min_size=1).filter(lambda text: text.isprintable()),
    st.integers(0, (1 << 31) - 1),
    st.integers(0, 1 << 62),
    st.integers(-1, 1 << 50),
    st.lists(st.tuples(st.sampled_from(["token", "a", "b"]), st.none() | st.binary())),
)
def test_the_own_headers_of_a_message_survive_the_dlq(
    topic: str, partition: int, offset: int, timestamp_ms: int, own: Headers
) -> None:
    source = Source(topic, partition, offset, timestamp_ms)
    once = [*own, *dlq_headers(source, reason="r", step="s", error="e")]
    assert source_of(once) == source
    before = dlq_headers(Source("before", 1, 2, 3), reason="before", step="", error="")
    twice = [*own, *before, *once[len(own) :]]
    posthogs = [*own, *before, *as_posthog(once[len(own) :], NOW_MS)]
    after_posthogs = [*own, *as_posthog(before, NOW_MS), *once[len(own) :]]
    for sent in (once, twice, posthogs, after_posthogs):
        found = read_dead_letter(Record("dlq", 0, 0, 0, sent, None))
        assert (found.headers, found.source, found.reason, found.step, found.error) == (own, source, "r", "s", "e")


def test_a_letter_of_posthogs_consumer() -> None:
    """It does not say when Kafka got the message."""
    why = {
        "dlq_reason": "no_session_id_in_header",
        "dlq_step": "validateHeadersStep",
        "dlq_timestamp": "2026-11-27T01:02:03.456Z",
        "dlq_topic": TOPIC,
        "dlq_partition": "3",
        "dlq_offset": "7",
    }
    own = [*headers(), ("dlq_of_the_client", b"1")]
    sent = [*own, *((name, text.encode()) for name, text in why.items())]
    found = read_dead_letter(Record("dlq", 0, 12, NOW_MS, sent, b"value", b"key"))
    assert (found.reason, found.step, found.error) == ("no_session_id_in_header", "validateHeadersStep", "")
    assert (found.source, found.headers) == (Source(TOPIC, 3, 7), own)


@pytest.mark.parametrize(
    "damaged",
    [
        [("dlq-topic", b"")],
        [("dlq-partition", b"first")],
        [("dlq-partition", b"-1")],
        [("dlq-partition", b"2147483648")],
        [("dlq-offset", b"-1")],
        [("dlq-topic", b"\xff")],
        [("dlq-timestamp", b"now")],
    ],
)
def test_a_damaged_source_is_not_guessed(damaged: Headers) -> None:
    assert source_of([*record(7).headers, *damaged]) is None
    assert source_of([]) is None
    unknown = read_dead_letter(Record("dlq", 0, 5, NOW_MS, damaged, None))
    assert unknown.identity == f"0:5 {NOW_MS}"


def test_letters_of_one_message_have_one_identity_and_others_have_another() -> None:
    first = letter(7, 3, at=1)
    assert first.identity == letter(7, 3, at=9, timestamp_ms=LATER_MS + 1).identity
    assert first.source is not None
    others = [
        letter(8, 3),
        letter(7, 4),
        replace(first, source=first.source._replace(timestamp_ms=1)),
        replace(first, source=first.source._replace(topic="another")),
        replace(first, source=None),
    ]
    assert len({first.identity, *(other.identity for other in others)}) == 6


CHOICES: dict[str, list[Any]] = {
    "places": [Place(0, 1), Place(0, 2), Place(1, 1)],
    "reasons": ["a", "b", ""],
    "steps": ["c", "d"],
    "tokens": ["t", "u", ""],
    "sessions": ["s", ""],
    "source_topics": ["in", "over"],
    "source_partitions": [0, 1],
}
letters = st.builds(
    lambda place, reason, step, token, session, time, source: DeadLetter(
        place, time, source, reason, step, "", None, None, [("token", token.encode()), ("session_id", session.encode())]
    ),
    *(st.sampled_from(CHOICES[kind]) for kind in ("places", "reasons", "steps", "tokens", "sessions")),
    st.integers(0, 9),
    st.none() | st.builds(Source, st.sampled_from(CHOICES["source_topics"]), st.integers(0, 1), st.integers(0, 9)),
)


def test_since_is_inclusive_and_until_is_not() -> None:
    one = letter(7, timestamp_ms=NOW_MS)
    assert Selection(since_ms=NOW_MS, until_ms=NOW_MS + 1).matches(one)
    assert not Selection(since_ms=NOW_MS + 1).matches(one)
    assert not Selection(until_ms=NOW_MS).matches(one)


@given(
    letters,
    st.fixed_dictionaries({kind: st.frozensets(st.sampled_from(values)) for kind, values in CHOICES.items()}),
    st.none() | st.integers(0, 9),
    st.none() | st.integers(0, 9),
    st.none() | st.builds(range, st.integers(0, 9), st.integers(0, 10)),
)
def test_a_selection_matches_all_of_its_fields(
    one: DeadLetter, sets: dict[str, frozenset[Any]], since: int | None, until: int | None, offsets: range | None
) -> None:
    source = one.source or Source("", -1, -1)
    has = {
        "places": one.place,
        "reasons": one.reason,
        "steps": one.step,
        "tokens": one.token,
        "sessions": one.session_id,
        "source_topics": source.topic,
        "source_partitions": source.partition,
    }
    expected = (
        all(has[kind] in wanted for kind, wanted in sets.items() if wanted)
        and one.timestamp_ms >= (since or 0)
        and one.timestamp_ms < (99 if until is None else until)
        and (offsets is None or source.offset in offsets)
    )
    selection = Selection(**sets, since_ms=since, until_ms=until, source_offsets=offsets)
    assert selection.matches(one) == expected
