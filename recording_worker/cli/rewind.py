"""`recording-worker rewind`: makes a group read again."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recording_worker.cli.options import settings_from, settings_options
from recording_worker.cli.say import say
from recording_worker.cli.times import parse_time

if TYPE_CHECKING:
    from recording_worker.operations.rewind import Move


@click.command(
    epilog="""\b
Examples:
  recording-worker rewind --to 2026-11-24T03:30 --dry-run
  recording-worker rewind --to 120000 --partition 3

\b
Exit codes: 0 done, 2 wrong settings, or the group has members, 3 the brokers can't be asked."""
)
@settings_options(("bootstrap_servers", "topic", "group_id", "compatibility"))
@click.option(
    "--to",
    required=True,
    metavar="TIME|OFFSET",
    help="An offset, or a time (ISO 8601, UTC by default): the first message of that time or later.",
)
@click.option(
    "--partition",
    "partitions",
    multiple=True,
    type=click.IntRange(min=0),
    metavar="N",
    help="Only these partitions.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done, and change nothing.")
def rewind(to: str, partitions: tuple[int, ...], dry_run: bool, config: Path | None, **flags: Any) -> None:
    """Set the group's committed offsets back, so that messages are read again. Its workers must be stopped.

    Everything from there on is recorded a second time, under other block URLs; `verify` will report that. Offsets
    never move forward: that would leave messages out.
    """
    settings = settings_from(config, flags)
    from recording_worker.operations.rewind import Rewind

    work = Rewind(settings)
    if to.isdecimal():
        moves = work.plan(partitions, offset=int(to))
    else:
        moves = work.plan(partitions, time_ms=parse_time(to, "--to"))
    if not dry_run:
        work.apply(moves)
    _print(moves, f"{settings.group_id} on {settings.topic}")
    moved = [move for move in moves if move.new is not None]
    messages = sum((move.committed or 0) - (move.new or 0) for move in moved)
    done = "would be read again" if dry_run else "will be read again"
    say(f"{len(moved):,} of {len(moves):,} partitions rewound: {messages:,} offsets {done}")


def _print(moves: "list[Move]", title: str) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for name in ("partition", "committed", "new"):
        table.add_column(name, justify="right")
    table.add_column("")
    for move in moves:
        numbers = (move.partition, move.committed, move.new if move.new is not None else move.committed)
        table.add_row(*("-" if number is None else str(number) for number in numbers), move.remark)
    console = Console(markup=False, highlight=False)
    console.print(title, soft_wrap=True)
    console.print(table)
