"""`recording-worker export`: writes one session's events."""

import sys

import click

from recording_worker.cli.output import standard_output
from recording_worker.cli.say import say
from recording_worker.cli.scanning import Paths, Scan, paths_argument, session_blocks


@click.command(
    epilog="""\b
Examples:
  recording-worker export /var/lib/recordings/blocks --session ID > session.jsonl
  recording-worker export s3://recordings/blocks --session ID --team 2 | head"""
)
@click.option(
    "--session", "session_id", required=True, metavar="ID", help="The session to write: its id, or how it begins."
)
@click.option("--team", "team_id", type=int, metavar="N", help="Its team; needed if several teams use the id.")
@paths_argument
def export(paths: Paths, session_id: str, team_id: int | None) -> None:
    """Write one session's events to standard output, in time order, as JSON lines: [window id, event].

    Each message's events come once, even if several batch files hold them. A PATH is a batch file, a folder
    of batch files, or s3://BUCKET/PREFIX.
    """
    scan = Scan(paths)
    found = session_blocks(scan, session_id, team_id)
    with standard_output():
        if sys.stdout.isatty():
            for line in scan.lines(found):
                say(line.decode(errors="backslashreplace"))
        else:
            sys.stdout.buffer.writelines(line + b"\n" for line in scan.lines(found))
    scan.raise_problems()
