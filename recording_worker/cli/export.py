"""`recording-worker export`: writes one session's events."""

import sys

import click

from recording_worker.cli.scanning import Scan, paths_argument, standard_output
from recording_worker.errors import WorkerError
from recording_worker.reading.export import only_team, session_lines


@click.command()
@paths_argument
@click.option("--session", "session_id", required=True, metavar="ID", help="The session to write.")
@click.option("--team", "team_id", type=int, metavar="N", help="Its team; needed where several teams use the id.")
def export(paths: tuple[str, ...], session_id: str, team_id: int | None) -> None:
    """Write one session's events in time order, as JSON lines [window id, event], to standard output.

    Each message's events come once, whatever number of batch files they are in. A PATH is a batch
    file, or a folder of them.
    """
    scan = Scan(paths)
    found = [
        block
        for file_blocks in scan.blocks()
        for block in file_blocks
        if block.entry.session_id == session_id and team_id in (None, block.entry.team_id)
    ]
    if not found:
        scan.raise_problems()
        team = "" if team_id is None else f" of team {team_id}"
        raise WorkerError(f"no session {session_id}{team} in {scan.files:,} batch files")
    only_team(found, session_id)
    with standard_output():
        sys.stdout.buffer.writelines(line + b"\n" for line in session_lines(found))
    scan.raise_problems()
