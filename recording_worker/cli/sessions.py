"""`recording-worker sessions`: lists the sessions in batch files."""

import sys
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain

import click
from rich import filesize
from rich.console import Console
from rich.table import Table
from rich.text import Text

from recording_worker.cli.output import standard_output
from recording_worker.cli.say import json_text, say
from recording_worker.cli.scanning import Paths, Scan, paths_argument
from recording_worker.cli.session_cache import count_bar, from_anywhere, open_session_list
from recording_worker.cli.tables import length_text, plain_table, table_console, time_text
from recording_worker.cli.times import parse_duration_ms, parse_time
from recording_worker.formats.batch_file import BlockEntry
from recording_worker.formats.session_keys import Session
from recording_worker.reading.batch_files import Block
from recording_worker.reading.session_list import Wanted
from recording_worker.reading.session_summary import SessionSummary, summarize_sessions
from recording_worker.text import counted, printable

SORTS: dict[str, Callable[[SessionSummary], float]] = {
    "start": lambda session: session.first_timestamp,
    "duration": lambda session: session.duration_ms,
    "events": lambda session: session.events,
    "size": lambda session: session.size,
    "blocks": lambda session: session.blocks,
    "out-of-order": lambda session: session.out_of_order_count or 0,
    "gaps": lambda session: session.gap_count or 0,
}

Deleted = Mapping[Session, int]
"""Sessions that are deleted, and when, seconds since 1970."""
Missing = Mapping[Session, list[str]]
"""What of these sessions can't be shown, as `play` says it."""

_AT_LEAST = click.IntRange(min=0)


@click.command(
    epilog="""\b
Examples:
  recording-worker sessions /var/lib/recordings --limit 20
  recording-worker sessions out/blocks --team 2 --since 2026-11-24 --not-playable
  recording-worker sessions out/blocks --user ann@ --url /checkout --errors 1
  recording-worker sessions out/blocks --sort gaps --json"""
)
@click.option("--team", "team_id", type=int, metavar="N", help="Only sessions of this team.")
@click.option("--session", "prefix", default="", metavar="ID", help="Only sessions whose id begins with this.")
@click.option("--since", metavar="TIME", help="Only sessions that began at this time or later: 2026-11-24T03:30, UTC.")
@click.option("--until", metavar="TIME", help="Only sessions that began before this time.")
@click.option("--min-duration", metavar="DURATION", help="Only sessions at least this long: 90s, 5m, 1h.")
@click.option("--playable/--not-playable", default=None, help="Only sessions that can, or can't, be played.")
@click.option("--user", default="", metavar="TEXT", help="Only sessions of users with this in their distinct id.")
@click.option("--url", default="", metavar="TEXT", help="Only sessions with this in the address of a page.")
@click.option("--errors", type=_AT_LEAST, default=0, metavar="N", help="Only sessions with N console errors or more.")
@click.option("--clicks", type=_AT_LEAST, default=0, metavar="N", help="Only sessions with N clicks or more.")
@click.option(
    "--sort", type=click.Choice(list(SORTS)), default="start", show_default=True, help="Sort by this, largest first."
)
@click.option("--reverse", is_flag=True, help="Sort smallest first.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="List at most this many sessions.")
@click.option(
    "--missing", "with_missing", is_flag=True, help="Say what of the listed sessions can't be shown: reads them."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, one for each session, instead of a table.")
@paths_argument
def sessions(
    paths: Paths,
    team_id: int | None,
    prefix: str,
    since: str | None,
    until: str | None,
    min_duration: str | None,
    playable: bool | None,
    user: str,
    url: str,
    errors: int,
    clicks: int,
    sort: str,
    reverse: bool,
    limit: int | None,
    with_missing: bool,
    as_json: bool,
) -> None:
    """List the sessions in batch files, and how well each can be played; newest first.

    Reads only the index at the end of each file. --url, --errors and --clicks also read the blocks, each once:
    the user's cache folder keeps what they say. --missing reads the listed sessions, as `play` does. A session's
    blocks are put together from all files. Each message counts once, even if several files hold it. A PATH is a
    batch file, a folder of batch files, or s3://BUCKET/PREFIX.
    """
    earliest = float("-inf") if since is None else parse_time(since, "--since")
    latest = float("inf") if until is None else parse_time(until, "--until")
    shortest = 0 if min_duration is None else parse_duration_ms(min_duration, "--min-duration")

    def wanted(session: SessionSummary) -> bool:
        return (
            earliest <= session.first_timestamp < latest
            and session.duration_ms >= shortest
            and (not user or session.key in of_user)
            and (matching is None or session.key in matching)
        )

    asked = Wanted(
        team_id,
        prefix,
        since=None if since is None else earliest,
        until=None if until is None else latest,
        min_duration_ms=shortest,
        playable=playable,
        user=user,
        url=url,
        min_clicks=clicks,
        min_errors=errors,
    )
    if asked.needs_contents:
        paths = from_anywhere(paths)
    scan = Scan(paths)
    matching = _matching(scan, paths, asked) if asked.needs_contents else None
    of_user = set[Session]()
    entries = _noting_user(_entries(scan), user, of_user)
    entries = (entry for entry in entries if team_id in (None, entry.team_id) and entry.session_id.startswith(prefix))
    found = [session for session in summarize_sessions(entries) if wanted(session)]
    deleted = scan.decryption.deleted([session.key for session in found])
    found = [session for session in found if playable in (None, _is_playable(session, deleted))]
    found.sort(key=SORTS[sort], reverse=not reverse)
    listed = found[:limit]
    missing = _missing(scan, {session.key for session in listed} - deleted.keys()) if with_missing else None
    with standard_output():
        if as_json:
            sys.stdout.buffer.writelines(_json(session, deleted, missing) for session in listed)
        else:
            _print(listed, deleted, missing, of=found, files=scan.files)
    scan.raise_problems()


def _matching(scan: Scan, paths: Paths, wanted: Wanted) -> set[Session]:
    """Return the sessions whose blocks say what is wanted. Reads the blocks that were not read yet."""
    listed = open_session_list(scan, paths)
    scan.problems.clear()  # reading the indexes once more finds them again
    with count_bar("Reading blocks") as report:
        listed.read_contents(report, wanted)
    return listed.matching(wanted)


def _missing(scan: Scan, sessions: Collection[Session]) -> Missing:
    """Return what of these sessions can't be shown. Reads all their blocks."""
    from recording_worker.playing.session import recording_of

    blocks = defaultdict[Session, list[Block]](list)
    scan.problems.clear()  # reading the indexes once more finds them again
    for block in chain.from_iterable(scan.blocks()):
        if block.entry.messages and (key := (block.entry.team_id, block.entry.session_id)) in sessions:
            blocks[key].append(block)
    missing = {}
    with count_bar("Reading sessions") as report:
        for done, (session, its_blocks) in enumerate(blocks.items()):
            report(done, len(blocks))
            missing[session] = recording_of(its_blocks, scan.lines(its_blocks)).missing
    return missing


def _noting_user(entries: Iterable[BlockEntry], user: str, of_user: set[Session]) -> Iterator[BlockEntry]:
    """Yield the same entries. `of_user` gets the sessions that have this in a distinct id."""
    user = user.lower()
    for entry in entries:
        if user in entry.distinct_id.lower():
            of_user.add((entry.team_id, entry.session_id))
        yield entry


def _is_playable(session: SessionSummary, deleted: Deleted) -> bool:
    return session.has_full_snapshot and session.key not in deleted


def _json(session: SessionSummary, deleted: Deleted, missing: Missing | None) -> bytes:
    """Return a session as a line of JSON. Sizes are in bytes, times in milliseconds since 1970.

    `deleted_at` is in seconds, as the key store has it. `missing` is null if nobody asked for it.
    """
    listing = {
        "team_id": session.team_id,
        "session_id": session.session_id,
        "distinct_id": session.distinct_id,
        "first_timestamp": session.first_timestamp,
        "last_timestamp": session.last_timestamp,
        "duration_ms": session.duration_ms,
        "blocks": session.blocks,
        "messages": session.messages,
        "events": session.events,
        "size": session.size,
        "snapshot_source": session.snapshot_source,
        "has_full_snapshot": session.has_full_snapshot,
        "playable": _is_playable(session, deleted),
        "deleted_at": deleted.get(session.key),
        "first_full_snapshot_timestamp": session.first_full_snapshot_timestamp,
        "missing": None if missing is None else missing.get(session.key),
        "out_of_order_count": session.out_of_order_count,
        "gap_count": session.gap_count,
    }
    return json_text(listing)


def _entries(scan: Scan) -> Iterator[BlockEntry]:
    return (block.entry for blocks in scan.blocks() for block in blocks)


def _print(
    listed: Sequence[SessionSummary],
    deleted: Deleted,
    missing: Missing | None,
    *,
    of: Sequence[SessionSummary],
    files: int,
) -> None:
    console = table_console()
    if listed:
        console.print(_table(listed, deleted, _columns_that_fit(console, listed, deleted)))
    shown = counted(len(of), "session") if len(listed) == len(of) else f"{len(listed):,} of {len(of):,} sessions"
    events, size = sum(session.events for session in of), sum(session.size for session in of)
    console.print(f"{shown} in {counted(files, 'file')}, {counted(events, 'event')}, {filesize.decimal(size)} of lines")
    if missing is not None:
        _print_missing(listed, missing)
    elif mobile := sum(session.snapshot_source == "mobile" for session in listed):
        console.print(f"{counted(mobile, 'session')} of mobile apps: --missing says what of them can't be shown")


def _print_missing(listed: Sequence[SessionSummary], missing: Missing) -> None:
    some = [session for session in listed if missing.get(session.key)]
    say(f"Parts can't be shown in {len(some):,} of {counted(len(listed), 'session')}")
    for session in some:
        say(session.session_id)
        for note in missing[session.key]:
            say(f"  {note}")


def _columns_that_fit(console: Console, listed: Sequence[SessionSummary], deleted: Deleted) -> list[str]:
    """Return as many columns as fit the screen without cutting session ids, which people copy."""
    columns, unlimited = list(COLUMNS), console.options.update(width=10_000)
    for dispensable in DISPENSABLE:
        if console.measure(_table(listed[:100], deleted, columns), options=unlimited).maximum <= console.width:
            break
        columns.remove(dispensable)
    return columns


def _table(listed: Sequence[SessionSummary], deleted: Deleted, columns: Sequence[str]) -> Table:
    table = plain_table()
    for name in columns:
        if name == "session":
            table.add_column(name, overflow="fold", min_width=8)
        else:
            table.add_column(name, no_wrap=True, justify="left" if name in LEFT else "right")
    for session in listed:
        cells = {name: COLUMNS[name](session) for name in columns}
        if session.key in deleted:
            cells["playable"] = "deleted"
        table.add_row(*cells.values())
    return table


def _distinct_id(session: SessionSummary) -> Text:
    text = Text(printable(session.distinct_id))
    text.truncate(24, overflow="ellipsis")
    return text


def _playable(session: SessionSummary) -> str:
    """Say how long after its start the session can be played."""
    if not session.has_full_snapshot:
        return "no"
    if session.first_full_snapshot_timestamp is None:
        return "yes"
    waiting = session.first_full_snapshot_timestamp - session.first_timestamp
    return "yes" if waiting < 1000 else f"from {length_text(waiting)}"


def _count(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


COLUMNS: dict[str, Callable[[SessionSummary], str | Text]] = {
    "session": lambda session: Text(printable(session.session_id)),
    "team": lambda session: str(session.team_id),
    "distinct id": _distinct_id,
    "start (UTC)": lambda session: time_text(session.first_timestamp),
    "length": lambda session: length_text(session.duration_ms),
    "events": lambda session: f"{session.events:,}",
    "blocks": lambda session: f"{session.blocks:,}",
    "size": lambda session: filesize.decimal(session.size),
    "playable": _playable,
    "disorder": lambda session: _count(session.out_of_order_count),
    "gaps": lambda session: _count(session.gap_count),
}
DISPENSABLE = ("distinct id", "blocks", "size", "team", "disorder", "gaps", "events")
"""The columns that a narrow screen leaves out, in this order. The JSON has all."""
LEFT = ("distinct id", "start (UTC)", "playable")
"""Columns of words. The others are figures."""
