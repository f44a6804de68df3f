"""`recording-worker sessions`: lists the sessions in batch files."""

import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import click
from rich import box, filesize
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recording_worker.cli.scanning import Paths, Scan, paths_argument, standard_output
from recording_worker.cli.times import parse_age, parse_time
from recording_worker.formats.batch_file import BlockEntry
from recording_worker.formats.timestamps import utc_text
from recording_worker.reading.sessions import Session, gather_sessions
from recording_worker.text import counted, printable

SORTS: dict[str, Callable[[Session], float]] = {
    "start": lambda session: session.first_timestamp,
    "duration": lambda session: session.duration_ms,
    "events": lambda session: session.events,
    "size": lambda session: session.size,
    "blocks": lambda session: session.blocks,
    "out-of-order": lambda session: session.out_of_order_count or 0,
    "gaps": lambda session: session.gap_count or 0,
}


@click.command(
    epilog="""\b
Examples:
  recording-worker sessions /var/lib/recordings --limit 20
  recording-worker sessions out/blocks --team 2 --since 2026-11-24 --not-playable
  recording-worker sessions out/blocks --sort gaps --json"""
)
@click.option("--team", "team_id", type=int, metavar="N", help="Only this team's.")
@click.option("--session", "prefix", default="", metavar="ID", help="Only those whose id begins so.")
@click.option("--since", metavar="TIME", help="Only those that began at this time or later: 2026-11-24T03:30, UTC.")
@click.option("--until", metavar="TIME", help="Only those that began before this time.")
@click.option("--min-duration", metavar="DURATION", help="Only sessions at least this long: 90s, 5m, 1h.")
@click.option("--playable/--not-playable", default=None, help="Only those with, or without, a full snapshot.")
@click.option("--sort", type=click.Choice(list(SORTS)), default="start", show_default=True, help="Largest first.")
@click.option("--reverse", is_flag=True, help="Smallest first.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="List at most so many.")
@click.option("--json", "as_json", is_flag=True, help="JSON lines, one a session, instead of a table.")
@paths_argument
def sessions(
    paths: Paths,
    team_id: int | None,
    prefix: str,
    since: str | None,
    until: str | None,
    min_duration: str | None,
    playable: bool | None,
    sort: str,
    reverse: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the sessions in batch files, newest first, from the index at the end of each file alone.

    A session's blocks are put together over all the files, and each message counts once, however many files
    it is in. A PATH is a batch file, a folder of them, or s3://BUCKET/PREFIX.
    """
    earliest = float("-inf") if since is None else parse_time(since, "--since")
    latest = float("inf") if until is None else parse_time(until, "--until")
    shortest = 0 if min_duration is None else parse_age(min_duration, "--min-duration")

    def wanted(session: Session) -> bool:
        return (
            earliest <= session.first_timestamp < latest
            and session.duration_ms >= shortest
            and playable in (None, session.has_full_snapshot)
        )

    scan = Scan(paths)
    entries = (
        entry for entry in _entries(scan) if team_id in (None, entry.team_id) and entry.session_id.startswith(prefix)
    )
    found = [session for session in gather_sessions(entries) if wanted(session)]
    found.sort(key=SORTS[sort], reverse=not reverse)
    listed = found[:limit]
    with standard_output():
        if as_json:
            sys.stdout.buffer.writelines(session.json() for session in listed)
        else:
            _print(listed, of=found, files=scan.files)
    scan.raise_problems()


def _entries(scan: Scan) -> Iterator[BlockEntry]:
    return (block.entry for blocks in scan.blocks() for block in blocks)


def _print(listed: Sequence[Session], *, of: Sequence[Session], files: int) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 1000  # as wide as the table is: there is no screen to fit
    if listed:
        console.print(_table(listed, _columns_that_fit(console, listed)))
    shown = counted(len(of), "session") if len(listed) == len(of) else f"{len(listed):,} of {len(of):,} sessions"
    events, size = sum(session.events for session in of), sum(session.size for session in of)
    console.print(f"{shown} in {counted(files, 'file')}, {counted(events, 'event')}, {filesize.decimal(size)} of lines")


def _columns_that_fit(console: Console, listed: Sequence[Session]) -> list[str]:
    """As many as the screen takes with the ids whole: one has to be able to copy them."""
    columns, unlimited = list(COLUMNS), console.options.update(width=10_000)
    for dispensable in DISPENSABLE:
        if console.measure(_table(listed[:100], columns), options=unlimited).maximum <= console.width:
            break
        columns.remove(dispensable)
    return columns


def _table(listed: Sequence[Session], columns: Sequence[str]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in columns:
        if name == "session":
            table.add_column(name, overflow="fold", min_width=8)
        else:
            table.add_column(name, no_wrap=True, justify="left" if name in LEFT else "right")
    for session in listed:
        table.add_row(*(COLUMNS[name](session) for name in columns))
    return table


def _distinct_id(session: Session) -> Text:
    text = Text(printable(session.distinct_id))
    text.truncate(24, overflow="ellipsis")
    return text


def _length(milliseconds: float) -> str:
    return str(timedelta(seconds=int(milliseconds) // 1000))


def _playable(session: Session) -> str:
    """From when after its start it can be played."""
    if not session.has_full_snapshot:
        return "no"
    if session.first_full_snapshot_timestamp is None:
        return "yes"
    waiting = session.first_full_snapshot_timestamp - session.first_timestamp
    return "yes" if waiting < 1000 else f"from {_length(waiting)}"


def _count(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


COLUMNS: dict[str, Callable[[Session], str | Text]] = {
    "session": lambda session: Text(printable(session.session_id)),
    "team": lambda session: str(session.team_id),
    "distinct id": _distinct_id,
    "start (UTC)": lambda session: utc_text(session.first_timestamp).partition(".")[0],
    "length": lambda session: _length(session.duration_ms),
    "events": lambda session: f"{session.events:,}",
    "blocks": lambda session: f"{session.blocks:,}",
    "size": lambda session: filesize.decimal(session.size),
    "playable": _playable,
    "disorder": lambda session: _count(session.out_of_order_count),
    "gaps": lambda session: _count(session.gap_count),
}
DISPENSABLE = ("distinct id", "blocks", "size", "team", "disorder", "gaps", "events")
"""What a narrow screen does without, in this order; all is in the JSON."""
LEFT = ("distinct id", "start (UTC)", "playable")
"""Columns of words; the others are figures."""
