"""What the setting `compatibility` stands for: other defaults of other settings."""

from collections.abc import Mapping
from typing import Any

from recording_worker.settings.choices import Codec, Compatibility, DlqHeaders, FileNames

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    Compatibility.POSTHOG: {
        "group_id": "session-recordings-blob-v2",
        "storage_prefix": "session_recordings",
        "codec": Codec.SNAPPY,
        "file_names": FileNames.POSTHOG,
        "dlq_headers": DlqHeaders.POSTHOG,
        "mark_sessions_seen": True,
        "posthog_retention_keys": True,
        "require_ids_in_headers": True,
        "normalize_session_ids": True,
        "far_event_drops_message": True,
    },
}
"""Setting → its default under each kind of compatibility. What is set by itself counts all the same.

The group is KAFKA_CONSUMER_GROUP_ID of PostHog's nodejs/src/session-replay/recording-ingestion/constants.ts, and the
prefix its default of SESSION_RECORDING_V2_S3_PREFIX, which its reader wants in front of each key.
"""


def with_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that were given, on top of the defaults of their `compatibility`."""
    return {**defaults_of(given.get("compatibility")), **given}


def defaults_of(compatibility: object) -> Mapping[str, Any]:
    """Return setting → its default under this kind of compatibility, for those that have another one."""
    return _DEFAULTS.get(str(compatibility), {})
