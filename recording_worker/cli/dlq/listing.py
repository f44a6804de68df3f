"""`recording-worker dlq list`: what is on the DLQ."""

import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recording_worker.cli.dlq.selecting import DLQ_SETTINGS, selecting
from recording_worker.cli.options import settings_from, settings_options
from recording_worker.cli.say import json_text, say
from recording_worker.operations.dlq.dead_letter import Selection
from recording_worker.operations.dlq.listing import KINDS, Entry, Listing
from recording_worker.text import counted, printable

if TYPE_CHECKING:
    from rich.table import Table


@click.command(
    "list",
    short_help="Messages on the DLQ, counted.",
    epilog="""\b
Examples:
  recording-worker dlq list
  recording-worker dlq list --reason invalid_json --since 2026-11-24T03:30 --by token
  recording-worker dlq list --all --json

\b
Exit codes: 0 done, 2 wrong settings, 3 the brokers can't be asked.""",
)
@settings_options(DLQ_SETTINGS)
@selecting
@click.option("--all", "everything", is_flag=True, help="Also list messages that were redriven or dropped.")
@click.option(
    "--by",
    type=click.Choice([kind.removesuffix("_id") for kind in KINDS]),
    default="reason",
    show_default=True,
    help="What to count the messages by.",
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, metavar="N", help="Rows at most.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def list_letters(
    selection: Selection, everything: bool, by: str, limit: int, as_json: bool, config: Path | None, **flags: Any
) -> None:
    """List the messages on the DLQ: how many by reason, and the newest of them.

    Messages that were redriven or dropped are left out.
    """
    settings = settings_from(config, flags)
    from recording_worker.cli.output import progress_bar, standard_output
    from recording_worker.cli.signals import signals_end
    from recording_worker.clock import SystemClock
    from recording_worker.operations.dlq.audit import State
    from recording_worker.operations.dlq.topics import DlqTopics

    topics = DlqTopics(settings, progress_bar, SystemClock().now_ms())
    listing = Listing(limit, "session_id" if by == "session" else by)
    with signals_end(), closing(topics.audit_log()) as log, closing(topics.dead_letters(selection)) as letters:
        for letter in letters:
            state = log.state_of(letter)
            listed = everything or state in (State.OPEN, State.UNKNOWN)
            listing.add(letter, state, log.record_of(letter) if listed else None, listed=listed)
    with standard_output():
        if as_json:
            figures = {
                "states": {str(state): listing.states[state] for state in State},
                "counts": listing.counts,
                "letters": [entry.json() for entry in listing.entries],
                "notes": topics.notes,
            }
            sys.stdout.buffer.write(json_text(figures, indent=True))
        else:
            _print(listing, by, topics.notes)


def _print(listing: Listing, by: str, notes: list[str]) -> None:
    from recording_worker.cli.tables import table_console

    console = table_console()
    if entries := listing.entries:
        console.print(_count_table(by, listing.counts))
        console.print(_letter_table(entries))
    for note in notes:
        say(f"note: {note}")
    shown = counted(listing.listed, "message")
    if listing.listed > len(entries):
        shown = f"the newest {len(entries):,} of {shown}"
    states = ", ".join(f"{number:,} {state}" for state, number in sorted(listing.states.items())) or "nothing there"
    say(f"{shown} ({states})")


def _count_table(by: str, counts: Mapping[str, int]) -> "Table":
    from rich.text import Text

    from recording_worker.cli.tables import plain_table

    table = plain_table()
    table.add_column(by, overflow="fold")
    table.add_column("messages", justify="right")
    for name, count in counts.items():
        table.add_row(Text(printable(name) or "-"), f"{count:,}")
    return table


def _letter_table(entries: list[Entry]) -> "Table":
    from rich.text import Text

    from recording_worker.cli.tables import plain_table, time_text

    table = plain_table()
    for name in ("place", "sent there (UTC)", "state"):
        table.add_column(name, no_wrap=True)
    for name in ("reason", "token", "session", "from"):
        table.add_column(name, overflow="fold")
    table.add_column("bytes", justify="right", no_wrap=True)
    for entry in entries:
        letter = entry.letter
        words = (letter.reason, letter.token, letter.session_id, "" if letter.source is None else str(letter.source))
        table.add_row(
            str(letter.place),
            time_text(letter.timestamp_ms),
            str(entry.state),
            *(Text(printable(word) or "-") for word in words),
            "-" if entry.size is None else f"{entry.size:,}",
        )
    return table
