from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from recording_worker.kafka.exclusive_producer import WrittenAt
from recording_worker.operations.dlq.audit import CLOCK_SKEW_MS, Action, AuditLog, AuditRecord, State, read_audit_record
from recording_worker.operations.dlq.dead_letter import DeadLetter
from tests.builders import NOW_MS, TOPIC
from tests.unit.dlq.dead_letters import LATER_MS, letter


def record_of(one: DeadLetter, action: Action = Action.REDRIVE, dlq_topic: str = "dlq") -> AuditRecord:
    to = WrittenAt("back", 1, 99) if action is Action.REDRIVE else None
    return AuditRecord.of(one, action, dlq_topic=dlq_topic, by="me@here", at_ms=LATER_MS, sent_to=to)


@pytest.fixture
def log() -> Iterator[AuditLog]:
    with closing(AuditLog("dlq")) as found:
        yield found


def test_a_record_is_complete_and_can_be_read_back() -> None:
    record = record_of(letter(7, 3, at=12))
    assert (record.dlq_topic, record.dlq_partition, record.dlq_offset) == ("dlq", 0, 12)
    assert (record.source_topic, record.source_partition, record.source_offset) == (TOPIC, 3, 7)
    assert (record.reason, record.token, record.state) == ("invalid_json", "token-1", State.REDRIVEN)
    assert (record.to_topic, record.to_partition, record.to_offset) == ("back", 1, 99)
    long = record_of(replace(letter(), reason="r" * 10**6, headers=[("token", b"t" * 10**6)]))
    assert (long.reason, long.token) == ("r" * 200, "t" * 200), "a record must fit into its topic"
    stranger = record_of(replace(letter(), source=None), Action.DROP)
    assert (stranger.source_topic, stranger.to_topic, stranger.state) == (None, None, State.DROPPED)
    for each in (record, stranger):
        assert read_audit_record(each.json()) == each
    later_version = record.json()[:-1] + b',"more":1}'
    assert read_audit_record(later_version) == record


@pytest.mark.parametrize("value", [None, b"", b"no", b"{}", b'{"action":"redrive"}', b"[]"])
def test_a_value_that_is_not_a_record_is_an_error(value: bytes | None) -> None:
    with pytest.raises(ValueError, match=r"^(value|action|by): "):
        read_audit_record(value)


def test_handling_one_letter_handles_all_of_its_message(log: AuditLog) -> None:
    assert log.state_of(letter(7)) is State.OPEN
    assert log.record_of(letter(7)) is None
    log.add(record_of(letter(7)))
    log.add(record_of(letter(8), Action.DROP))
    log.add(record_of(letter(9), dlq_topic="another"))
    assert log.state_of(letter(7, at=99, timestamp_ms=LATER_MS + 1)) is State.REDRIVEN
    assert log.record_of(letter(7)) == record_of(letter(7))
    assert log.state_of(letter(8)) is State.DROPPED
    assert log.state_of(letter(9)) is State.OPEN


def test_only_one_letter_of_a_message_can_be_claimed(log: AuditLog) -> None:
    assert [log.claim(letter(*place, at=at)) for at, place in enumerate([(7, 0), (7, 1), (7, 0)])] == [
        True,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("came_ms", "sent_ms", "state"),
    [
        (NOW_MS + CLOCK_SKEW_MS, NOW_MS + CLOCK_SKEW_MS, State.OPEN),
        (NOW_MS + CLOCK_SKEW_MS - 1, NOW_MS + 9 * CLOCK_SKEW_MS, State.UNKNOWN),
        (NOW_MS + 9 * CLOCK_SKEW_MS, NOW_MS + CLOCK_SKEW_MS - 1, State.UNKNOWN),
        (-1, NOW_MS + CLOCK_SKEW_MS, State.OPEN),
        (-1, -1, State.UNKNOWN),
        (0, NOW_MS + CLOCK_SKEW_MS, State.UNKNOWN),
    ],
)
def test_a_letter_that_may_have_been_handled_is_not_open(came_ms: int, sent_ms: int, state: State) -> None:
    one = letter(7, timestamp_ms=sent_ms)
    assert one.source is not None
    one = replace(one, source=one.source._replace(timestamp_ms=came_ms))
    with closing(AuditLog("dlq", horizon_ms=NOW_MS)) as log:
        assert log.state_of(one) is state
        log.add(record_of(one))
        assert log.state_of(one) is State.REDRIVEN
