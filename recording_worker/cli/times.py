"""Times and durations in options, as people write them."""

from datetime import UTC, datetime

from recording_worker.errors import ConfigError
from recording_worker.settings.units import parse_duration


def parse_time(text: str, option: str) -> int:
    """Return a time of ISO 8601 in milliseconds since 1970; it is UTC if it names no zone. Raises ConfigError."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{option} {text}: must be a time such as 2026-11-24T03:30 or 2026-11-24T03:30Z") from error
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def parse_duration_ms(text: str, option: str) -> int:
    """Return a duration such as 90s, 30m, 24h or 7d in milliseconds. Raises ConfigError."""
    try:
        return round(parse_duration(text) * 1000)
    except ValueError as error:
        raise ConfigError(f"{option} {text}: {error}") from error
