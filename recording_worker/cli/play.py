"""`recording-worker play`: a session in the browser."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

import click

from recording_worker.cli.say import say
from recording_worker.cli.scanning import Paths, Scan, paths_argument, session_blocks
from recording_worker.errors import ConfigError
from recording_worker.private_file import write_private


@click.command(
    epilog="""\b
Examples:
  recording-worker play out/blocks --session ID
  recording-worker play s3://recordings/blocks --session ID
  recording-worker play out/blocks --session ID --html session.html"""
)
@click.option(
    "--session", "session_id", required=True, metavar="ID", help="The session to play: its id, or how it begins."
)
@click.option("--team", "team_id", type=int, metavar="N", help="Its team; needed if several teams use the id.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default="any free port",
    metavar="N",
    help="Port of the page, on 127.0.0.1.",
)
@click.option(
    "--html",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the page with the recording to this file instead of serving it.",
)
@paths_argument
def play(paths: Paths, session_id: str, team_id: int | None, port: int, target: Path | None) -> None:
    """Play one session in a browser. The page is served on this machine until Ctrl-C, or written to a file.

    A recording is not trusted: nothing in it runs, and nothing is loaded from the network. A PATH is a
    batch file, a folder of batch files, or s3://BUCKET/PREFIX. Needs rrweb's player, which `make player`
    fetches once.
    """
    from recording_worker.cli.signals import until_signal
    from recording_worker.playing import page, player
    from recording_worker.playing.server import PlayServer
    from recording_worker.playing.session import recording_of

    rrweb = player.load()
    scan = Scan(paths)
    blocks = session_blocks(scan, session_id, team_id)
    recording = recording_of(blocks, scan.lines(blocks))
    recording.notes += [f"Left out: {problem}" for problem in scan.problems]
    if target is not None:
        _write(target, page.whole_page(rrweb, recording))
        say(f"Written to {target}")
    else:
        server = PlayServer(page.served_page(rrweb), recording, port)
        say(server.url)
        say("Press Ctrl-C to stop.")
        with until_signal(), closing(server):
            server.run()
    scan.raise_problems()


def _write(target: Path, html: Iterable[str]) -> None:
    try:
        write_private(target, (piece.encode() for piece in html))
    except OSError as error:
        raise ConfigError(f"{target}: {error.strerror}") from error
