"""What the dlq commands share: which letters are asked for, and how they are shown."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from recording_worker.cli.times import parse_time
from recording_worker.errors import ConfigError
from recording_worker.operations.dlq.dead_letter import DeadLetter, Place, Selection
from recording_worker.text import printable

DLQ_SETTINGS = ("bootstrap_servers", "dlq_topic", "dlq_audit_topic")
"""What each of the commands has to know."""

_PLACE = re.compile(r"(\d{1,9}):(\d{1,18})")
_OFFSETS = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")


def parse_place(text: str) -> Place:
    """PARTITION:OFFSET on the DLQ topic."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"'{text}' is no place on the DLQ, which is PARTITION:OFFSET, such as 0:123.")
    return Place(int(found[1]), int(found[2]))


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Gives a command the options that say which letters are asked for, as `selection: Selection`."""

    @click.option("--reason", "reasons", multiple=True, metavar="R", help="Only those that are there for this reason.")
    @click.option("--step", "steps", multiple=True, metavar="S", help="Only those that this step has sent there.")
    @click.option("--token", "tokens", multiple=True, metavar="T", help="Only those of this team's token.")
    @click.option("--session", "sessions", multiple=True, metavar="ID", help="Only those of this session.")
    @click.option("--since", metavar="TIME", help="Only those sent there at this time or later: 2026-11-24T03:30, UTC.")
    @click.option("--until", metavar="TIME", help="Only those sent there before this time.")
    @click.option(
        "--source-topic", "source_topics", multiple=True, metavar="T", help="Only those read from this topic."
    )
    @click.option(
        "--source-partition",
        "source_partitions",
        multiple=True,
        type=click.IntRange(min=0),
        metavar="N",
        help="Only those read from this partition.",
    )
    @click.option("--source-offset", metavar="N[-N]", help="Only those read from this offset, or these.")
    @wraps(command)
    def with_selection(
        since: str | None,
        until: str | None,
        source_offset: str | None,
        places: tuple[Place, ...] = (),
        **options: Any,
    ) -> Any:
        sets = ("reasons", "steps", "tokens", "sessions", "source_topics", "source_partitions")
        selection = Selection(
            places=frozenset(places),
            since_ms=None if since is None else parse_time(since, "--since"),
            until_ms=None if until is None else parse_time(until, "--until"),
            source_offsets=None if source_offset is None else _parse_offsets(source_offset),
            **{name: frozenset(options.pop(name)) for name in sets},
        )
        return command(selection=selection, **options)

    return with_selection


places_argument = click.argument("places", metavar="[PLACE]...", nargs=-1, type=parse_place)
"""Letters by name; used above `selecting`."""


def summary_of(letter: DeadLetter) -> str:
    """A letter in one line."""
    reason = f" ({printable(letter.reason)})" if letter.reason else ""
    return f"{letter.place}{reason}" + (f" from {printable(str(letter.source))}" if letter.source is not None else "")


def _parse_offsets(text: str) -> range:
    found = _OFFSETS.fullmatch(text)
    if found is None:
        raise ConfigError(f"--source-offset {text}: must be an offset, or the first and the last, such as 120-140")
    return range(int(found[1]), int(found[2] or found[1]) + 1)
