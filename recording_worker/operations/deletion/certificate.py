"""The certificate of deletion: what was destroyed, what was tried, and where bytes may still be."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from recording_worker.formats.session_keys import Session
from recording_worker.formats.timestamps import iso_text, utc_text
from recording_worker.operations.deletion.places import Place
from recording_worker.operations.deletion.tried import TriedBlock, Verdict
from recording_worker.text import counted

_VERSION = 1
_PROBLEMS = {
    Verdict.IN_THE_CLEAR: "stored in the clear, which anybody can read who has the files (--rewrite erases it)",
    Verdict.READABLE: "whose key the key store still has",
    Verdict.NOT_TRIED: "not tried: ",
}
"""What is wrong if a block is so."""


class KeyOutcome(StrEnum):
    """What became of the key of a session."""

    DESTROYED = "destroyed"
    BEFORE = "destroyed before"
    NONE = "none"
    """It had none. From now on its messages are dropped."""


@dataclass(frozen=True, slots=True)
class DeletedSession:
    """What became of one session."""

    session: Session
    key: KeyOutcome
    deleted_at: int
    """Seconds since 1970: of its first deletion."""
    deleted_by: str
    blocks: list[TriedBlock]

    @property
    def was_known(self) -> bool:
        """Whether anything was found of it. If nothing was, its id may be wrong."""
        return self.key is not KeyOutcome.NONE or bool(self.blocks)

    @property
    def problems(self) -> Iterator[str]:
        """Why it is not gone; nothing if it is."""
        counts = Counter((tried.verdict, tried.why) for tried in self.blocks)
        for (verdict, why), number in counts.items():
            if problem := _PROBLEMS.get(verdict):
                yield f"{counted(number, 'block')} {problem}{why}"

    def to_dict(self) -> dict[str, object]:
        return {
            "team_id": self.session[0],
            "session_id": self.session[1],
            "known": self.was_known,
            "key": self.key.value,
            "deleted_at": _time(self.deleted_at * 1000),
            "deleted_by": self.deleted_by,
            "blocks": [
                {
                    "file": tried.block.name,
                    "first_byte": tried.block.start,
                    "length": tried.block.length,
                    "result": tried.verdict.value,
                    "why": tried.why,
                    "file_expires_at": None if tried.block.expires_ms is None else _time(tried.block.expires_ms),
                }
                for tried in self.blocks
            ],
        }


@dataclass(frozen=True, slots=True)
class Certificate:
    """What one run of `delete` did and found."""

    made_at_ms: int
    by: str
    key_store: str
    sessions: list[DeletedSession]
    places: list[Place]
    unread: list[str] = field(default_factory=list)
    """Why there may be blocks that were not found."""

    @property
    def problems(self) -> list[str]:
        """What is not complete; empty if the sessions are gone."""
        of_sessions = [
            f"session {each.session[1]} of team {each.session[0]}: {problem}"
            for each in self.sessions
            for problem in each.problems
        ]
        return [*of_sessions, *self.unread]

    def to_dict(self) -> dict[str, object]:
        """For JSON. Times are ISO 8601 in UTC."""
        problems = self.problems
        return {
            "version": _VERSION,
            "made_at": _time(self.made_at_ms),
            "by": self.by,
            "complete": not problems,
            "incomplete": problems,
            "key_store": self.key_store,
            "sessions": [session.to_dict() for session in self.sessions],
            "places": [
                {
                    "place": place.name,
                    "holds": place.holds,
                    "until": None if place.until_ms is None else _time(place.until_ms),
                    "why": place.why,
                    "clear": place.clear,
                }
                for place in self.places
            ],
        }

    def lines(self) -> Iterator[str]:
        """Yield the same for people, without the list of blocks."""
        yield f"Certificate of deletion, made {utc_text(self.made_at_ms)} UTC by {self.by}"
        for each in self.sessions:
            team_id, session_id = each.session
            yield f"session {session_id} of team {team_id}"
            yield f"  deleted {utc_text(each.deleted_at * 1000)} UTC by {each.deleted_by}; key: {each.key}"
            if not each.was_known:
                yield "  nothing was known of it: is the id right?"
            counts = Counter(tried.verdict for tried in each.blocks)
            found = ", ".join(f"{number:,} {verdict}" for verdict, number in sorted(counts.items()))
            yield f"  {counted(len(each.blocks), 'block')} tried{': ' if found else ''}{found}"
        yield "Where bytes of it may still be:"
        for place in self.places:
            until = "" if place.until_ms is None else f"until {utc_text(place.until_ms)[:19]} UTC: "
            yield f"  {place.name}: {place.holds}"
            yield f"    {until}{place.why}"
            yield f"    to clear it: {place.clear}"
        problems = self.problems
        for problem in problems:
            yield f"not complete: {problem}"
        if not problems:
            yield f"complete: nothing of {counted(len(self.sessions), 'session')} can be read from the batch files"


def _time(ms: int) -> str:
    return iso_text(ms, whole_seconds=True)
