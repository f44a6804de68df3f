import pytest

from recording_worker.outcome import Disposition, Reason
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from tests.builders import batch, headers, message


def test_fills_the_columns() -> None:
    rows = batch(message(headers=[*headers(), ("content-encoding", b"lz4"), ("now", b"2026")]))
    ParseHeaders().run(rows)
    assert list(rows.tokens) == ["token-1"]
    assert list(rows.session_id_headers) == ["session-1"]
    assert list(rows.distinct_id_headers) == ["user-1"]
    assert list(rows.event_names) == ["$snapshot_items"]
    assert list(rows.event_uuids) == ["uuid-1"]
    assert list(rows.lib_versions) == ["1.255.0"]
    assert list(rows.content_encodings) == ["lz4"]
    assert rows.dispositions == b"\0"


@pytest.mark.parametrize("given", [headers(token=None), headers(token=""), headers(token="\0"), []])
def test_no_token_goes_to_the_dlq(given: list[tuple[str, bytes]]) -> None:
    rows = batch(message(headers=given))
    ParseHeaders().run(rows)
    assert rows.dispositions[0] == Disposition.DLQ
    assert rows.reasons[0] == Reason.NO_TOKEN_IN_HEADER


def test_session_and_distinct_id_may_be_missing() -> None:
    rows = batch(message(headers=headers(session_id=None, distinct_id=None)))
    ParseHeaders().run(rows)
    assert list(rows.session_id_headers) == [None]
    assert list(rows.distinct_id_headers) == [None]
    assert rows.dispositions == b"\0"


def test_nul_is_removed_invalid_utf8_replaced_and_the_last_of_two_counts() -> None:
    given = [
        ("to\0ken", b"fir\0st"),
        ("token", b"a\0b\xff"),
        ("distinct_id", b"\xf0\x9f\x98\x80"),
        ("\0session_id", b"session"),
    ]
    rows = batch(message(headers=given))
    ParseHeaders().run(rows)
    assert list(rows.tokens) == ["ab\ufffd"]
    assert list(rows.distinct_id_headers) == ["\U0001f600"]
    assert list(rows.session_id_headers) == ["session"]


def test_a_header_that_is_null_is_as_if_it_were_absent() -> None:
    nulls = [("content-encoding", None), ("session_id", None), ("distinct_id", None), ("token", None)]
    rows = batch(message(headers=[*headers(session_id=None), *nulls]), message(1, headers=nulls))
    ParseHeaders().run(rows)
    assert list(rows.tokens) == ["token-1", None]
    assert list(rows.session_id_headers) == [None, None]
    assert list(rows.distinct_id_headers) == ["user-1", None]
    assert list(rows.content_encodings) == [None, None]
    assert [*rows.reasons] == [Reason.NONE, Reason.NO_TOKEN_IN_HEADER]
    assert [*rows.message(1).headers] == nulls


@pytest.mark.parametrize("absent", [None, ""])
def test_posthogs_rule_is_that_ids_must_be_in_the_headers(absent: str | None) -> None:
    given = [
        headers(),
        headers(session_id=absent),
        headers(distinct_id=absent),
        headers(session_id=absent, distinct_id=absent),
        headers(token=absent, session_id=absent),
    ]
    rows = batch(*(message(offset, headers=each) for offset, each in enumerate(given)))
    ParseHeaders(require_ids=True).run(rows)
    assert [*rows.reasons] == [
        Reason.NONE,
        Reason.NO_SESSION_ID_IN_HEADER,
        Reason.NO_DISTINCT_ID_IN_HEADER,
        Reason.NO_SESSION_ID_IN_HEADER,
        Reason.NO_TOKEN_IN_HEADER,
    ]
    assert set(rows.dispositions[1:]) == {Disposition.DLQ}
    assert rows.why(1) == ("parse_headers", "the message has no session_id header")
