"""Times of a device with a wrong clock, with `correct_clock_skew` and without it."""

import json

import pytest

from recording_worker.outcome import Reason
from tests.builders import NOW_MS
from tests.contract.ends import OK, drop
from tests.decoders import Decode
from tests.inputs import Input, event_text, plain_value

MINUTE_MS = 60_000
NOW = "2026-11-23T19:21:55.292Z"


def message(events: list[str], now: object = NOW, sent_at: object = NOW) -> Input:
    said = {"now": json.dumps(now), "sent_at": json.dumps(sent_at)}
    return Input(plain_value(events, envelope=said))


@pytest.mark.parametrize(
    ("sent_at", "minutes"),
    [
        ("2026-11-23T19:21:55.292Z", 0),
        ("2026-11-23T19:19:25.293Z", 0),
        ("2026-11-23T19:19:25.292Z", 5),
        ("2026-11-23T19:24:25.292Z", 0),
        ("2026-11-23T19:24:25.293Z", -5),
        ("2026-11-23T18:21:50Z", 60),
        ("2026-11-23T18:21:50-01:00", 0),
        ("2026-11-24T19:21:55.292+00:00", -24 * 60),
        ("2026-10-23 19:21:55.292Z", 31 * 24 * 60),
    ],
)
def test_times_are_shifted_by_the_skew_rounded_to_five_minutes(decode: Decode, sent_at: str, minutes: int) -> None:
    shift = minutes * MINUTE_MS
    log = '{"plugin":"rrweb/console@1","payload":{"level":"error","payload":["text"]}}'
    events = [event_text(timestamp=str(NOW_MS - shift + ago), type="6", data=log) for ago in (-7, 0)]
    expected = [event_text(timestamp=str(NOW_MS + ago), type="6", data=log) for ago in (-7, 0)]
    batch = decode([message(events, sent_at=sent_at)], NOW_MS, correct_clock_skew=True)
    [outcome] = batch.rows
    assert outcome.end == OK
    assert outcome.events == expected
    assert outcome.timestamps == (NOW_MS - 7, NOW_MS)
    assert [found.timestamp for found in outcome.console_logs] == [NOW_MS - 7, NOW_MS]
    [block] = batch.blocks.values()
    assert (block.first_timestamp, block.last_timestamp) == (NOW_MS - 7, NOW_MS)


def test_what_is_too_far_from_now_is_decided_after_the_shift(decode: Decode) -> None:
    month_ago = str(NOW_MS - 31 * 24 * 60 * MINUTE_MS)
    late, right = event_text(timestamp=month_ago), event_text(timestamp=str(NOW_MS))
    row = message([late, right], sent_at="2026-10-23T19:21:55Z")
    corrected = decode([row], NOW_MS, correct_clock_skew=True)
    assert corrected.rows[0].events == [event_text(timestamp=str(NOW_MS))]
    assert (corrected.far_items, corrected.rows[0].far_timestamps) == (
        1,
        (NOW_MS, NOW_MS + 31 * 24 * 60 * MINUTE_MS),
    )
    as_it_is = decode([row], NOW_MS)
    assert as_it_is.rows[0].events == [right]
    [dropped] = decode([message([right], sent_at="2026-10-23T19:21:55Z")], NOW_MS, correct_clock_skew=True).rows
    assert dropped.end == drop(Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE)


@pytest.mark.parametrize("missing", [None, 1, "", "yesterday", "2026-11-23T18:21:50", ["2026-11-23T18:21:50Z"]])
def test_without_both_times_nothing_is_shifted(decode: Decode, missing: object) -> None:
    event = event_text(timestamp=str(NOW_MS))
    early = "2026-11-23T18:21:50Z"
    for row in (message([event], sent_at=missing), message([event], now=missing, sent_at=early)):
        assert decode([row], NOW_MS, correct_clock_skew=True).rows[0].events == [event]


def test_all_but_the_number_stays_as_the_client_wrote_it(decode: Decode) -> None:
    """Of a key that comes twice the last value counts. A number may be written in any way."""
    hour = 60 * MINUTE_MS
    early = "2026-11-23T18:21:50Z"
    pairs = [
        (f'{{"timestamp":7,"type" : 3, "timestamp":{NOW_MS - hour},"é":"\\u00e9\\""}}', NOW_MS),
        (f'{{"data":{{"timestamp":1}},"time\\u0073tamp": {NOW_MS - hour}.5 ,"type":3}}', f"{NOW_MS}.5"),
        (f'{{"type":3,"timestamp":{(NOW_MS - hour) // 1000}.{(NOW_MS - hour) % 1000:03}E+3}}', NOW_MS),
    ]
    rows = [message([event], sent_at=early) for event, _ in pairs]
    for outcome, (event, number) in zip(decode(rows, NOW_MS, correct_clock_skew=True).rows, pairs, strict=True):
        old = event[event.rindex(str(NOW_MS - hour)[:7]) :].split(",")[0].split("}")[0].rstrip()
        assert outcome.events == [event.replace(old, str(number))]


def test_the_next_message_keeps_its_own_times(decode: Decode) -> None:
    event = event_text(timestamp=str(NOW_MS))
    rows = [message([event], sent_at="2026-11-23T18:21:50Z"), Input(plain_value([event])), message([event])]
    outcomes = decode(rows, NOW_MS, correct_clock_skew=True).rows
    assert [outcome.events == [event] for outcome in outcomes] == [False, True, True]
