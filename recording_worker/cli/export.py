"""`recording-worker export`: writes one session's events."""

import sys
from collections.abc import Iterable
from pathlib import Path

import click

from recording_worker.cli.output import standard_output
from recording_worker.cli.say import say
from recording_worker.cli.scanning import Paths, Scan, paths_argument, session_blocks
from recording_worker.errors import ConfigError
from recording_worker.formats.batch_file import BatchFileError
from recording_worker.playing.exports import (
    ExportFormat,
    choose_window,
    exported,
    only_window,
    window_of,
    windows_of,
)
from recording_worker.private_file import write_private
from recording_worker.reading.batch_files import Block


@click.command(
    epilog="""\b
Examples:
  recording-worker export /var/lib/recordings/blocks --session ID > session.jsonl
  recording-worker export s3://recordings/blocks --session ID --team 2 | head
  recording-worker export out/blocks --session ID --format har --output session.har
  recording-worker export out/blocks --session ID --format rrweb --window 2 --output events.json

\b
Formats:
  lines    JSON lines, as they are stored: [window id, event]
  rrweb    a JSON array of one window's events, for rrweb's Replayer; what the client packed is unpacked
  har      the requests that the client recorded, as an HTTP archive
  console  the messages of the console as text: time (UTC), level, message"""
)
@click.option("--session", "session_id", required=True, metavar="ID", help="The session: its id, or how it begins.")
@click.option("--team", "team_id", type=int, metavar="N", help="Its team; needed if several teams use the id.")
@click.option(
    "--format",
    "kind",
    type=click.Choice([kind.value for kind in ExportFormat]),
    default=ExportFormat.LINES.value,
    show_default=True,
    help="What to write; see below.",
)
@click.option(
    "--window", metavar="WINDOW", help="Only this window: its number, as the player counts them, or how its id begins."
)
@click.option(
    "--output",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to this file, which only you may read, and not to standard output.",
)
@paths_argument
def export(
    paths: Paths, session_id: str, team_id: int | None, kind: str, window: str | None, target: Path | None
) -> None:
    """Write one session's events to standard output, in time order: as JSON lines, or in another format.

    Each message's events come once, even if several batch files hold them. A PATH is a batch file, a folder
    of batch files, or s3://BUCKET/PREFIX.
    """
    scan = Scan(paths)
    blocks = session_blocks(scan, session_id, team_id)
    form = ExportFormat(kind)
    chosen = _window(scan, blocks, form, window)
    lines = scan.lines(blocks)
    if chosen is not None:
        lines = (line for line in lines if window_of(line) == chosen)
    problems: list[str] = []
    pieces = exported(lines, form, problems.append)
    if target is not None:
        try:
            write_private(target, pieces)
        except OSError as error:
            raise ConfigError(f"{target}: {error.strerror}") from error
        say(f"Written to {target}")
    else:
        with standard_output():
            _print(pieces)
    scan.problems += map(BatchFileError, problems)
    scan.raise_problems()


def _window(scan: Scan, blocks: list[Block], form: ExportFormat, wanted: str | None) -> str | None:
    """Return the id of the only window to write; None for all windows. Raises ConfigError."""
    if wanted is None and form is not ExportFormat.RRWEB:
        return None
    windows = windows_of(scan.lines(blocks))
    scan.problems.clear()  # the blocks are read once more
    if wanted is not None:
        return choose_window(windows, wanted)
    only_window(windows)
    return None


def _print(pieces: Iterable[bytes]) -> None:
    if sys.stdout.isatty():
        for piece in pieces:
            say(piece.decode(errors="backslashreplace").removesuffix("\n"))
    else:
        sys.stdout.buffer.writelines(pieces)
