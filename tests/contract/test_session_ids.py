"""Session ids that are UUIDs, with `normalize_session_ids` and without it."""

import pytest

from recording_worker.outcome import Reason
from tests.contract.ends import OK, dlq
from tests.decoders import Decode
from tests.inputs import Input, plain_value

UUID = "0192E72A-1DD2-7714-8000-8B3E4C123456"


def message(session_id: str, header: str | None) -> Input:
    return Input(plain_value(properties={"$session_id": f'"{session_id}"'}), session_id_header=header)


@pytest.mark.parametrize("header", [None, UUID, UUID.lower()])
@pytest.mark.parametrize("body", [UUID, UUID.lower()])
def test_uuids_get_small_letters_if_they_are_to(decode: Decode, body: str, header: str | None) -> None:
    [outcome] = decode([message(body, header)], normalize_session_ids=True).rows
    assert (outcome.end, outcome.session_id) == (OK, UUID.lower())
    [as_it_came] = decode([message(body, header)]).rows
    if header in (None, body):
        assert (as_it_came.end, as_it_came.session_id) == (OK, body)
    else:
        assert as_it_came.end == dlq(Reason.SESSION_ID_HEADER_BODY_MISMATCH)


@pytest.mark.parametrize("session_id", [UUID[:-1] + "G", UUID + "A", UUID.replace("-", "A"), "Session-1", "A" * 36])
def test_other_ids_stay_as_they_are(decode: Decode, session_id: str) -> None:
    [outcome] = decode([message(session_id, session_id)], normalize_session_ids=True).rows
    assert (outcome.end, outcome.session_id) == (OK, session_id)
    [unlike] = decode([message(session_id, session_id.lower())], normalize_session_ids=True).rows
    assert unlike.end == dlq(Reason.SESSION_ID_HEADER_BODY_MISMATCH)


def test_a_header_of_another_uuid_is_unlike_the_body(decode: Decode) -> None:
    for body, header in ((UUID, "session-1"), ("session-1", UUID), (UUID, UUID[:-1] + "7")):
        [outcome] = decode([message(body, header)], normalize_session_ids=True).rows
        assert outcome.end == dlq(Reason.SESSION_ID_HEADER_BODY_MISMATCH)
