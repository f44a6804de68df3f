"""Times and ages as people write them."""

import re
from datetime import UTC, datetime

from recording_worker.errors import ConfigError

_AGE = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_time(text: str, option: str) -> int:
    """A time of ISO 8601, milliseconds since 1970; UTC where it says no zone. Raises ConfigError."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{option} {text}: must be a time such as 2026-11-24T03:30 or 2026-11-24T03:30Z") from error
    return round((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp() * 1000)


def parse_age(text: str, option: str) -> int:
    """An age such as 90s, 30m, 24h or 7d, milliseconds. Raises ConfigError."""
    found = _AGE.fullmatch(text)
    if found is None:
        raise ConfigError(f"{option} {text}: must be an age such as 30m, 24h or 7d")
    return round(float(found[1]) * _SECONDS[found[2]] * 1000)
