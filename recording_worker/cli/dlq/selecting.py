"""What the dlq commands share: the options that select messages, and how a message is named."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from recording_worker.cli.times import parse_time
from recording_worker.errors import ConfigError
from recording_worker.operations.dlq.dead_letter import DeadLetter, Place, Selection

DLQ_SETTINGS = ("bootstrap_servers", "dlq_topic", "dlq_audit_topic")
"""The settings that every dlq command needs."""

_PLACE = re.compile(r"(\d{1,9}):(\d{1,18})")
_OFFSETS = re.compile(r"(\d{1,18})(?:-(\d{1,18}))?")


def parse_place(text: str) -> Place:
    """PARTITION:OFFSET on the DLQ topic."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise click.BadParameter(f"'{text}' is not a place on the DLQ: PARTITION:OFFSET, such as 0:123.")
    return Place(int(found[1]), int(found[2]))


def selecting(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options that select messages, as `selection: Selection`."""

    @click.option("--reason", "reasons", multiple=True, metavar="R", help="Only messages with this reason.")
    @click.option("--step", "steps", multiple=True, metavar="S", help="Only messages from this step.")
    @click.option("--token", "tokens", multiple=True, metavar="T", help="Only messages with this team token.")
    @click.option("--session", "sessions", multiple=True, metavar="ID", help="Only messages of this session.")
    @click.option(
        "--since", metavar="TIME", help="Only messages sent there at this time or later: 2026-11-24T03:30, UTC."
    )
    @click.option("--until", metavar="TIME", help="Only messages sent there before this time.")
    @click.option(
        "--source-topic", "source_topics", multiple=True, metavar="T", help="Only messages read from this topic."
    )
    @click.option(
        "--source-partition",
        "source_partitions",
        multiple=True,
        type=click.IntRange(min=0),
        metavar="N",
        help="Only messages read from this partition.",
    )
    @click.option("--source-offset", metavar="N[-N]", help="Only messages read from this offset, or this range.")
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
"""The argument PLACE…; to be used above `selecting`."""


def summary_of(letter: DeadLetter) -> str:
    """A dead letter in one line."""
    reason = f" ({letter.reason})" if letter.reason else ""
    return f"{letter.place}{reason}" + (f" from {letter.source}" if letter.source is not None else "")


def _parse_offsets(text: str) -> range:
    found = _OFFSETS.fullmatch(text)
    if found is None:
        raise ConfigError(f"--source-offset {text}: must be an offset, or the first and the last, such as 120-140")
    return range(int(found[1]), int(found[2] or found[1]) + 1)
