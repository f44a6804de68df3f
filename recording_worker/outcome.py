"""How a message ends, and why: dispositions and reasons, in one place.

The codes are what the columns of a MessageBatch hold and what the native core
returns (`_native/reason.hpp`; `tests/native/test_reasons.py` holds the two
against each other). The labels are what metrics, DLQ headers and summaries show.
"""

from enum import IntEnum


class Disposition(IntEnum):
    """Where a message ends. Every message ends in exactly one."""

    OK = 0
    DROP = 1
    REDIRECT = 2
    DLQ = 3
    HELD = 4
    """Not ended yet: its partition has halted, and the message will be read again."""

    @property
    def label(self) -> str:
        return self.name.lower()

    @property
    def is_final(self) -> bool:
        """Whether a message with it has ended."""
        return self is not Disposition.HELD


class Reason(IntEnum):
    """A reason code; `label` is its name in metrics, DLQ headers and summaries."""

    NONE = 0

    # the native core (parse_session_recording_message): docs/data/messages.md, in the order of the checks
    MESSAGE_VALUE_OR_TIMESTAMP_IS_EMPTY = 1
    INVALID_COMPRESSED_DATA = 2
    PAYLOAD_TOO_LARGE = 3
    INVALID_JSON = 4
    INVALID_MESSAGE_PAYLOAD = 5
    RECEIVED_NON_SNAPSHOT_MESSAGE = 6
    ID_TOO_LONG = 11
    SESSION_ID_HEADER_BODY_MISMATCH = 7
    DISTINCT_ID_HEADER_BODY_MISMATCH = 8
    MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS = 9
    MESSAGE_TIMESTAMP_DIFF_TOO_LARGE = 10

    # the other steps
    NO_TOKEN_IN_HEADER = 32
    EVENT_DROPPED_BY_RESTRICTION = 33
    REDIRECTED_BY_RESTRICTION = 34
    OVERFLOW_FORCED = 35
    HEADER_TOKEN_PRESENT_TEAM_MISSING_OR_DISABLED = 36
    TEAM_MISSING_RETENTION_PERIOD = 37
    SESSION_EVENT_LIMIT = 38
    WORKER_CRASHED = 39
    SESSION_BLOCKED = 40
    OVERFLOW_HOT_SESSION = 41
    LAG_SHED = 42
    NO_SESSION_ID_IN_HEADER = 43
    NO_DISTINCT_ID_IN_HEADER = 44
    SESSION_DELETED = 45

    @property
    def label(self) -> str:
        return self.name.lower()

    @property
    def disposition(self) -> Disposition:
        """How a message ends for this reason."""
        if self is Reason.NONE:
            return Disposition.OK
        if self in _DROPS:
            return Disposition.DROP
        return Disposition.REDIRECT if self in _REDIRECTS else Disposition.DLQ


_DROPS = {
    Reason.MESSAGE_CONTAINED_NO_VALID_RRWEB_EVENTS,
    Reason.MESSAGE_TIMESTAMP_DIFF_TOO_LARGE,
    Reason.EVENT_DROPPED_BY_RESTRICTION,
    Reason.HEADER_TOKEN_PRESENT_TEAM_MISSING_OR_DISABLED,
    Reason.TEAM_MISSING_RETENTION_PERIOD,
    Reason.SESSION_EVENT_LIMIT,
    Reason.SESSION_BLOCKED,
    Reason.SESSION_DELETED,
}
_REDIRECTS = {Reason.OVERFLOW_FORCED, Reason.OVERFLOW_HOT_SESSION, Reason.LAG_SHED}
