"""What the setting `compatibility` stands for: other defaults of other settings."""

from collections.abc import Mapping
from typing import Any

from recording_worker.settings.choices import Codec, Compatibility

_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    Compatibility.POSTHOG: {
        "codec": Codec.SNAPPY,
        "require_ids_in_headers": True,
        "far_event_drops_message": True,
    },
}
"""Setting → its default under each kind of compatibility. What is set by itself counts all the same."""


def with_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that were given, on top of the defaults of their `compatibility`."""
    return {**_DEFAULTS.get(str(given.get("compatibility")), {}), **given}
