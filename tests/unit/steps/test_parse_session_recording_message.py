import gzip
import json

import pytest

from recording_worker._native import Decoder
from recording_worker.metrics import Metrics
from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.pipeline.steps.parse_session_recording_message import ParseSessionRecordingMessage
from tests.builders import NOW_MS, FakeClock, batch, counted, event, headers, message, value

DAY_MS = 86_400_000


def parsed(rows: MessageBatch, *, clock: FakeClock | None = None, max_decoded_bytes: int = 1 << 27) -> MessageBatch:
    ParseHeaders().run(rows)
    step = ParseSessionRecordingMessage(Decoder(max_decoded_bytes=max_decoded_bytes), clock, 7.0, Metrics())
    step.run(rows)
    return rows


def test_good_rows_are_decoded_and_bad_rows_explained() -> None:
    rows = parsed(
        batch(
            message(0),
            message(1, value=gzip.compress(value())[:-3]),
            message(2, headers=headers(session_id="other")),
            message(3, value=None),
            message(4, headers=headers(token=None)),
        ),
        clock=FakeClock(),
    )
    assert list(rows.dispositions) == [Disposition.OK] + [Disposition.DLQ] * 4
    assert list(rows.reasons) == [
        Reason.NONE,
        Reason.INVALID_COMPRESSED_DATA,
        Reason.SESSION_ID_HEADER_BODY_MISMATCH,
        Reason.MESSAGE_VALUE_OR_TIMESTAMP_IS_EMPTY,
        Reason.NO_TOKEN_IN_HEADER,
    ]
    assert rows.decoded is not None
    assert rows.decoded.session_id(0) == "session-1"
    assert rows.why(1)[0] == "parse_session_recording_message"
    assert rows.why(4)[0] == "parse_headers"


def test_a_message_without_an_event_is_dropped_with_a_warning() -> None:
    rows = parsed(batch(message(value=value([{"timestamp": 0}, "no event"]))), clock=FakeClock())
    assert list(rows.dispositions) == [Disposition.DROP]
    assert [warning.type for warning in rows.warnings] == ["message_contained_no_valid_rrweb_events"]


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("rule", ["items", "messages"])
def test_one_warning_a_message_says_how_far_from_now_its_events_are(rule: str, offline: bool) -> None:
    near, far = event(NOW_MS + DAY_MS), event(NOW_MS - 8 * DAY_MS)
    events = [[near], [far, near, far], [far, event(NOW_MS - 9 * DAY_MS)]]
    messages = [message(offset, value=value(items)) for offset, items in enumerate(events)]
    rows = batch(*messages)
    ParseHeaders().run(rows)
    decoder = Decoder(far_item_drops_message=rule == "messages")
    ParseSessionRecordingMessage(decoder, None if offline else FakeClock(), 7.0, Metrics()).run(rows)
    dropped = [False, rule == "messages", True]
    assert list(rows.reasons) == [Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE * ended for ended in dropped]
    assert [(warning.row, warning.type, warning.details) for warning in rows.warnings] == [
        (1, "message_timestamp_diff_too_large", {"startDiffDays": 8.0, "endDiffDays": 1.0, "thresholdDays": 7.0}),
        (2, "message_timestamp_diff_too_large", {"startDiffDays": 9.0, "endDiffDays": 8.0, "thresholdDays": 7.0}),
    ]


def test_offline_the_messages_own_timestamp_is_now() -> None:
    old = message(value=value([event(1_600_000_000_000)]), timestamp_ms=1_600_000_000_000)
    new = message(1, value=value([event(1_600_000_000_000)]))
    assert list(parsed(batch(old, new)).dispositions) == [Disposition.OK, Disposition.DROP]


def test_decoding_stops_at_its_memory_limit() -> None:
    messages = [message(n, n % 2, key=b"key", headers=headers(uuid=str(n))) for n in range(5)]
    rows = parsed(batch(*messages), clock=FakeClock(), max_decoded_bytes=150)
    assert rows.decoded is not None
    assert rows.decoded.rows == len(rows) == 2
    assert [*rows.messages, *rows.rest] == messages


def test_rows_that_were_cut_off_are_undecided_when_they_come_again() -> None:
    rows = parsed(batch(message(0), message(1), message(2, headers=headers(token=None))), max_decoded_bytes=1)
    assert (len(rows), list(rows.dispositions), list(rows.reasons), rows.why(0)) == (1, [0], [0], ("", ""))
    again = parsed(batch(*rows.rest))
    assert list(again.dispositions) == [Disposition.OK, Disposition.DLQ]


def test_the_decoders_figures_are_counted() -> None:
    metrics = Metrics()
    packed = {**event(), "cv": "2024-10", "data": gzip.compress(b"{}").decode("latin-1")}
    damaged = {**packed, "data": "not gzip"}
    values = [
        value(),
        gzip.compress(value([event(), "no event", {"timestamp": 0}, event(1)])),
        value(window_id="caf\xe9").replace(b"caf\\\\u00e9", b"caf\xe9"),
        value([packed, damaged, event()]),
    ]
    rows = batch(*(message(offset, value=each) for offset, each in enumerate(values)), message(9, value=None))
    ParseHeaders().run(rows)
    step = ParseSessionRecordingMessage(Decoder(unpack_client_compression=True), FakeClock(), 7.0, metrics)
    step.run(rows)
    assert list(rows.dispositions) == [0, 0, 0, 0, Disposition.DLQ]
    assert counted(metrics, "encoded_messages_total", encoding="plain") == 3
    assert counted(metrics, "encoded_messages_total", encoding="gzip") == 1
    plain = [gzip.decompress(each) if each[:1] == b"\x1f" else each for each in values]
    assert counted(metrics, "uncompressed_bytes_total") == sum(map(len, plain))
    assert counted(metrics, "invalid_items_total", reason="no_event") == 2
    assert counted(metrics, "invalid_items_total", reason="too_far_from_now") == 1
    assert counted(metrics, "invalid_utf8_messages_total") == 1
    assert counted(metrics, "events_unpacked_total") == 1
    assert counted(metrics, "unpack_failures_total") == 1


def test_shifted_messages_are_counted_by_how_wrong_their_clocks_were() -> None:
    metrics = Metrics()
    now = "2026-11-23T19:21:55Z"
    texts = []
    for sent_at in ("2026-11-23T18:21:50Z", "2026-11-23T19:21:54Z", "2026-11-24T19:21:55Z", "2026-11-24T19:21:55Z"):
        said = {"now": now, "sent_at": sent_at}
        texts.append(json.dumps({**json.loads(value()), **said}).encode())
    rows = batch(*(message(offset, value=text) for offset, text in enumerate(texts)))
    ParseHeaders().run(rows)
    ParseSessionRecordingMessage(Decoder(correct_clock_skew=True), FakeClock(), 7.0, metrics).run(rows)
    assert list(rows.dispositions) == [0, 0, 0, 0]
    assert counted(metrics, "clock_shift_seconds_count", clock="slow") == 1
    assert counted(metrics, "clock_shift_seconds_sum", clock="slow") == 3600
    assert counted(metrics, "clock_shift_seconds_count", clock="fast") == 2
    assert counted(metrics, "clock_shift_seconds_sum", clock="fast") == 2 * 86_400
