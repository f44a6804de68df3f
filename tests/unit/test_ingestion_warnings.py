import orjson

from recording_worker.lookups.teams.service import Team
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import IngestionWarning
from recording_worker.pipeline.steps.handle_ingestion_warnings import Debouncer, HandleIngestionWarnings
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from tests.builders import FakeClock, batch, headers, message

TEAMS = {"token-1": Team(7, console_logs=True, retention="30d")}


def warned(step: HandleIngestionWarnings, token: str = "token-1", key: str = "") -> list[dict[str, object]]:
    rows = batch(message(partition=4, headers=headers(token=token)))
    ParseHeaders().run(rows)
    rows.end(0, Disposition.DROP, Reason.MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS, "some_step")
    rows.warnings.append(IngestionWarning(0, "a_warning", {"answer": 42}, debounce_key=key))
    step.run(rows)
    assert all(partition == 4 and record.topic == "warnings" for partition, record in rows.records)
    return [orjson.loads(record.value or b"") for _, record in rows.records]


def test_the_record_names_the_team_even_if_the_row_was_dropped() -> None:
    step = HandleIngestionWarnings("warnings", TEAMS, 3600, FakeClock(1_795_000_000_123))
    assert warned(step) == [
        {
            "team_id": 7,
            "source": "recording-worker",
            "type": "a_warning",
            "details": '{"answer":42}',
            "timestamp": "2026-11-18 11:06:40.123",
        }
    ]


def test_without_a_team_there_is_nobody_to_warn() -> None:
    assert warned(HandleIngestionWarnings("warnings", TEAMS, 3600, FakeClock()), token="unknown") == []


def test_a_warning_without_a_team_or_one_that_was_sent_does_not_hold_back_the_next() -> None:
    step = HandleIngestionWarnings("warnings", TEAMS, 3600, FakeClock())
    rows = batch(message(0, headers=headers(token="unknown")), message(1), message(2), message(3, 1), message(4))
    ParseHeaders().run(rows)
    rows.halt(1, "why")
    rows.warnings += [IngestionWarning(row, kind, {}) for row, kind in enumerate("aaaab")]
    step.run(rows)
    assert [orjson.loads(record.value or b"")["type"] for _, record in rows.records] == ["a", "b"]
    assert rows.warned == {(0, "a"): 1, (0, "b"): 1}


def test_a_warning_passes_once_an_hour_per_team_type_and_key() -> None:
    clock = FakeClock()
    step = HandleIngestionWarnings("warnings", TEAMS, 3600, clock)
    assert len(warned(step, key="1.7.3")) == 1
    assert len(warned(step, key="1.7.3")) == 0
    assert len(warned(step, key="1.7.4")) == 1
    clock.ms += 3_599_999
    assert len(warned(step, key="1.7.3")) == 0
    clock.ms += 1
    assert len(warned(step, key="1.7.3")) == 1


def test_the_debouncer_remembers_a_limited_number_of_keys() -> None:
    debouncer = Debouncer(3600, capacity=2)
    assert [debouncer.passes((1, "type", key), 0) for key in "abcab"] == [True] * 5
    assert [debouncer.passes((1, "type", key), 1) for key in "ab"] == [False] * 2


def test_a_time_from_the_future_does_not_silence_a_warning_until_then() -> None:
    """Offline runs keep time by the messages' timestamps."""
    debouncer, key = Debouncer(3600), (1, "type", "key")
    hour = 3_600_000
    assert [debouncer.passes(key, at) for at in (100 * hour, hour, hour + 1, 1, 2 * hour)] == [
        *(True, True, False, False, True)
    ]
