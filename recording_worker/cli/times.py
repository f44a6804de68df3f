"""Times and durations in options, as people write them."""

import re

from recording_worker.errors import ConfigError
from recording_worker.formats.timestamps import parse_iso
from recording_worker.settings.units import parse_duration

_CLOCK = re.compile(r"(?:(?:([0-9]{1,3}):)?([0-9]{1,3}):)?([0-9]{1,6})", re.ASCII)
"""Seconds, with minutes or with hours and minutes before them."""


def parse_time(text: str, option: str) -> int:
    """Return a time of ISO 8601 in milliseconds since 1970; it is UTC if it names no zone. Raises ConfigError.

    A time before 1970 is refused, too: Kafka takes -1 and less for other things.
    """
    try:
        ms = round(parse_iso(text))
    except ValueError as error:
        raise ConfigError(f"{option} {text}: must be a time such as 2026-11-24T03:30 or 2026-11-24T03:30Z") from error
    if ms < 0:
        raise ConfigError(f"{option} {text}: must not be before 1970")
    return ms


def parse_place_ms(text: str, option: str) -> int:
    """Return a place in a recording, such as 83, 1:23, 1:02:03 or 5m, in ms after its start. Raises ConfigError."""
    if found := _CLOCK.fullmatch(text):
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return (3600 * hours + 60 * minutes + seconds) * 1000
    try:
        return round(parse_duration(text) * 1000)
    except ValueError as error:
        raise ConfigError(f"{option} {text}: must be a place such as 83, 1:23 or 5m") from error


def parse_duration_ms(text: str, option: str) -> int:
    """Return a duration such as 90s, 30m, 24h or 7d in milliseconds. Raises ConfigError."""
    try:
        return round(parse_duration(text) * 1000)
    except ValueError as error:
        raise ConfigError(f"{option} {text}: {error}") from error
