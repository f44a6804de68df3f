"""Settings of what is accepted, and how it is read."""

from typing import Annotated

from pydantic import Field

from recording_worker.settings.choices import Compatibility
from recording_worker.settings.fields.base import Fields
from recording_worker.settings.memory import MIB
from recording_worker.settings.types import Bytes, PositiveInt, PositiveNumber, Seconds


class AcceptedFields(Fields):
    """Settings of what is accepted, and how it is read."""

    max_decompressed_bytes: Bytes = Field(64 * MIB, description="Largest message after decompression.")
    max_timestamp_diff_days: PositiveNumber = Field(
        7.0, description="Leave out events that are this many days or more from now."
    )
    max_session_id_characters: Annotated[int, Field(ge=36, le=4096)] = Field(
        256, description="Longest session id and window id; a message with a longer one goes to the DLQ."
    )
    max_distinct_id_characters: Annotated[int, Field(ge=36, le=16384)] = Field(
        1024, description="Longest distinct id; a message with a longer one goes to the DLQ."
    )
    compatibility: Compatibility | None = Field(
        None,
        description="posthog: other defaults of other settings, for fleets in which PostHog's consumer works too, or"
        " whose readers are PostHog's.",
    )
    require_ids_in_headers: bool = Field(
        False, description="Send messages to the DLQ that have no session id or distinct id in their headers."
    )
    correct_clock_skew: bool = Field(
        False, description="Shift the times of a message by how wrong its device's clock was, in steps of 5 minutes."
    )
    normalize_session_ids: bool = Field(False, description="Write session ids that are UUIDs with small letters.")
    far_event_drops_message: bool = Field(
        False,
        description="Drop a message if its first or last event is too far from now, and not the far events alone.",
    )
    max_events_per_session_per_batch: PositiveInt | None = Field(
        None, description="Drop a session's part of a batch if it has more events than this; no limit if not set."
    )
    max_console_logs_per_session_per_batch: PositiveInt = Field(
        10_000, description="Console messages of a session that a batch stores; more are counted, not stored."
    )
    hot_session_bytes_per_minute: Bytes | None = Field(
        None,
        description="Send a session to the overflow topic if it sends more than this in a minute, as carried;"
        " no limit if not set.",
    )
    lag_shed_after: Seconds | None = Field(
        None, description="Send messages older than this to the backfill topic; none if not set."
    )
    lag_shed_share: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0, description="Share of the sessions whose old messages go to the backfill topic, chosen by session id."
    )
    dlq_halt_consecutive: PositiveInt | None = Field(
        None, description="Halt a partition if this many of its messages in a row are for the DLQ; never if not set."
    )
    dlq_halt_ratio: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        None,
        description="Halt a partition if more than this share of its last messages is for the DLQ; never if not set.",
    )
    dlq_halt_window: PositiveInt = Field(
        1000,
        description="How many of a partition's last messages dlq_halt_ratio looks at; with fewer it does not halt.",
    )
    warning_debounce_seconds: Seconds = Field(
        3600.0, description="At most one ingestion warning per team, type and key in this time."
    )
