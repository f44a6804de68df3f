"""Deletions of sessions in a round: which of their messages may be missing, and what must never be.

A deleted session's key is taken from the key store before it is destroyed. With it, the ledger looks into the session's
blocks, so that it can count on. Nobody else has it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.faults.load import Sent
from tests.faults.messages import Fate

Session = tuple[int, str]
"""Team id and session id."""


@dataclass(slots=True)
class Deletion:
    """A session that is deleted, or about to be."""

    session: Session
    key: bytes
    """Its key, as the key store had it before."""
    committed: Mapping[int, int]
    """Partition → the group's committed offset before the deletion. All before it is recorded."""
    done_at: float | None = None
    """When its certificate was complete, seconds since 1970; None if it is not."""


class Deletions:
    """The deletions of a round."""

    def __init__(self, key_of: Callable[[int, str], bytes | None] = lambda *_: None, notice_seconds: float = 0) -> None:
        """`key_of`: says what the key store has. `notice_seconds`: within this time workers learn of a deletion."""
        self._key_of = key_of
        self._notice_seconds = notice_seconds
        self._by_id: dict[str, Deletion] = {}
        self._hidden: set[Session] = set()
        """Sessions that a record hides."""

    def begin(self, deletion: Deletion) -> None:
        """Note a deletion. Its key may be destroyed from now on."""
        self._by_id[deletion.session[1]] = deletion

    def key_of(self, team_id: int, session_id: str) -> bytes | None:
        """Return the key that a session has, or had before it was deleted."""
        deletion = self._by_id.get(session_id)
        return self._key_of(team_id, session_id) if deletion is None else deletion.key

    def hides(self, session: Session) -> None:
        """Note a record that says that a session is deleted."""
        self._hidden.add(session)

    def may_miss(self, one: Sent) -> bool:
        """Whether this message may be nowhere: its session was deleted before the message was known to be recorded."""
        deletion = self._by_id.get(one.session_id)
        if deletion is None or one.fate is not Fate.RECORDED:
            return False
        return one.offset >= deletion.committed.get(one.partition, 0)

    def must_miss(self, one: Sent) -> bool:
        """Whether this message may not be recorded: it was sent when each worker had to know of the deletion."""
        deletion = self._by_id.get(one.session_id)
        if deletion is None or deletion.done_at is None or one.fate is not Fate.RECORDED:
            return False
        return one.sent_at > deletion.done_at + self._notice_seconds

    def wrong(self) -> Iterator[str]:
        """Yield what is wrong with the deletions, once all records are read."""
        for deletion in self._by_id.values():
            name = f"session {deletion.session[1]} of team {deletion.session[0]}"
            if deletion.done_at is None:
                yield f"{name}: its deletion has begun and is not complete"
                continue
            if self._key_of(*deletion.session) is not None:
                yield f"{name}: it is deleted, and can be read again"
            if deletion.session not in self._hidden:
                yield f"{name}: it is deleted, and no record hides it"
        for session in sorted(self._hidden - {each.session for each in self._by_id.values()}):
            yield f"session {session[1]} of team {session[0]}: a record hides it, and it is not deleted"
