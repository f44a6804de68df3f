"""What `dlq list` counts, and which letters it shows."""

from dataclasses import asdict, replace

import pytest

from recording_worker.operations.dlq.audit import Action, AuditRecord, State
from recording_worker.operations.dlq.dead_letter import Place
from recording_worker.operations.dlq.listing import KINDS, Entry, Listing
from tests.builders import NOW_MS, TOPIC
from tests.unit.dlq.dead_letters import LATER_MS, letter


@pytest.mark.parametrize("by", KINDS)
def test_letters_are_counted_by_what_is_asked_for(by: str) -> None:
    listing = Listing(10, by)
    name, header = ("token", b"b") if by != "session_id" else ("session_id", b"b")
    other = replace(letter(1, at=1), reason="b", step="b", headers=[(name, header)])
    for one in (letter(0), other, replace(other, place=Place(0, 2))):
        listing.add(one, State.OPEN, None, listed=True)
    assert list(listing.counts.items()) == [("b", 2), (getattr(letter(0), by), 1)]
    assert listing.listed == 3


def test_the_newest_letters_are_kept_newest_first() -> None:
    listing = Listing(3, "reason")
    for time in (2, 5, 1, 4, 3):
        listing.add(letter(0, at=time, timestamp_ms=NOW_MS + time), State.OPEN, None, listed=True)
    assert [entry.letter.place.offset for entry in listing.entries] == [5, 4, 3]
    assert listing.listed == 5
    alike = Listing(2, "reason")
    for place in (Place(0, 1), Place(1, 0), Place(0, 2)):
        alike.add(replace(letter(0), place=place), State.OPEN, None, listed=True)
    assert [entry.letter.place for entry in alike.entries] == [Place(1, 0), Place(0, 2)], "of one time: by place"


def test_letters_that_are_not_listed_are_counted_by_their_state_only() -> None:
    listing = Listing(3, "reason")
    listing.add(letter(0), State.DROPPED, None, listed=False)
    listing.add(letter(1), State.OPEN, None, listed=True)
    assert listing.states == {State.DROPPED: 1, State.OPEN: 1}
    assert (listing.listed, len(listing.entries)) == (1, 1)


def test_an_entry_says_all_but_the_value() -> None:
    one = letter(7, 3, at=12)
    record = AuditRecord.of(one, Action.DROP, dlq_topic="dlq", by="me@here", at_ms=LATER_MS, sent_to=None)
    entry = Entry.of(one, State.DROPPED, record)
    assert entry.letter.value is None
    assert entry.json() == {
        "place": "0:12",
        "partition": 0,
        "offset": 12,
        "timestamp_ms": LATER_MS,
        "state": "dropped",
        "reason": "invalid_json",
        "step": "a_step",
        "error": "an error",
        "token": "token-1",
        "session_id": "session-1",
        "source": {"topic": TOPIC, "partition": 3, "offset": 7, "timestamp_ms": NOW_MS, "topic_id": ""},
        "size": 1,
        "handled": asdict(record),
    }
    unknown = replace(one, source=None, value=None)
    said = Entry.of(unknown, State.OPEN, None).json()
    assert (said["source"], said["size"], said["handled"]) == (None, None, None)
