from collections import Counter
from itertools import islice

from recording_worker.demo.traffic import OK, traffic
from tests.builders import NOW_MS
from tests.inputs import input_of
from tests.reference.decoder import decode_message


def test_the_same_seed_makes_the_same_messages() -> None:
    assert list(islice(traffic(7, NOW_MS), 50)) == list(islice(traffic(7, NOW_MS), 50))
    assert list(islice(traffic(7, NOW_MS), 50)) != list(islice(traffic(8, NOW_MS), 50))


def test_what_is_to_be_recorded_is_recordable() -> None:
    """By the reference decoder; what becomes of the misfits is for the whole worker to show."""
    planned = list(islice(traffic(1, NOW_MS), 400))
    encodings: Counter[str | None] = Counter()
    for one in planned:
        if one.outcome == OK:
            row = input_of(one.message)
            decoded = decode_message(*row[:-1], row.timestamp_ms, NOW_MS)
            assert (decoded.disposition, decoded.reason) == one.outcome
            assert len(decoded.events) == one.events > 0
            encodings[decoded.encoding] += 1
    assert encodings.keys() == {"plain", "gzip", "lz4"}
    assert 5 < sum(one.outcome != OK for one in planned) < 40
    assert [one.message.offset for one in planned] == list(range(400))
    sessions = Counter(one.message.key for one in planned)
    assert len(sessions) > 24
    assert max(sessions.values()) > 5
