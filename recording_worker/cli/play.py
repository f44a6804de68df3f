"""`recording-worker play`: a session in the browser."""

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recording_worker.cli.say import say
from recording_worker.cli.scanning import Paths, Scan, paths_argument, session_blocks
from recording_worker.cli.session_cache import from_anywhere, open_session_list
from recording_worker.cli.times import parse_place_ms
from recording_worker.errors import ConfigError
from recording_worker.formats.batch_file import BatchFileError
from recording_worker.private_file import write_private
from recording_worker.storage.locate import Locator

if TYPE_CHECKING:
    from recording_worker.http_server import Pages
    from recording_worker.playing.player import Player


@click.command(
    epilog="""\b
Examples:
  recording-worker play out/blocks
  recording-worker play out/blocks --session ID
  recording-worker play s3://recordings/blocks --session ID
  recording-worker play out/blocks --session ID --html session.html --from 1:23"""
)
@click.option("--session", "session_id", metavar="ID", help="The session to play: its id, or how it begins.")
@click.option(
    "--team", "team_id", type=int, metavar="N", help="Its team, if several teams use the id; or the team to list."
)
@click.option("--from", "begin", metavar="TIME", help="Begin this long after the session's start: 83, 1:23 or 5m.")
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
def play(
    paths: Paths, session_id: str | None, team_id: int | None, begin: str | None, port: int, target: Path | None
) -> None:
    """Play one session in a browser, or list all sessions there. The page is served on this machine until Ctrl-C.

    Without --session, the page lists the sessions: search them, and open one. What the list is made of is read
    once, and kept in the user's cache folder. With --html, one session's page is written to a file.

    A recording is not trusted: nothing in it runs, and nothing is loaded from the network. A PATH is a
    batch file, a folder of batch files, or s3://BUCKET/PREFIX. Needs rrweb's player, which `make player`
    fetches once.
    """
    from recording_worker.playing import player

    rrweb = player.load()
    if session_id is None:
        if target is not None:
            raise ConfigError("--html writes one session: say which with --session")
        if begin is not None:
            raise ConfigError("--from is a time of one session: say which with --session")
        _play_any(from_anywhere(paths), team_id, port, rrweb)
    else:
        after = None if begin is None else parse_place_ms(begin, "--from")
        _play_one(paths, session_id, team_id, after, port, target, rrweb)


def _play_any(paths: Paths, team_id: int | None, port: int, rrweb: "Player") -> None:
    from recording_worker.playing.page import served_page
    from recording_worker.playing.session_pages import SessionPages

    scan = Scan(paths)
    sessions = open_session_list(scan, paths)
    locator = Locator(paths.settings)

    def notes_of(problems: Iterable[BatchFileError]) -> list[str]:
        return [f"Not listed: {problem}" for problem in problems]

    def list_files() -> list[str]:
        return notes_of(sessions.update(locator.find(paths.given)))

    player = served_page(rrweb, in_list=True)
    pages = SessionPages(sessions, player, team_id, notes_of(scan.problems), list_files)
    pages.start()
    with closing(pages):
        _serve(pages, port)
    scan.raise_problems()


def _play_one(
    paths: Paths,
    session_id: str,
    team_id: int | None,
    after: float | None,
    port: int,
    target: Path | None,
    rrweb: "Player",
) -> None:
    from recording_worker.playing.page import served_page, whole_page
    from recording_worker.playing.server import recording_pages
    from recording_worker.playing.session import recording_of

    scan = Scan(paths)
    blocks = session_blocks(scan, session_id, team_id)
    recording = recording_of(blocks, scan.lines(blocks))
    recording.notes += [f"Left out: {problem}" for problem in scan.problems]
    recording.begin_after = after
    if target is not None:
        _write(target, whole_page(rrweb, recording))
        say(f"Written to {target}")
    else:
        _serve(recording_pages(served_page(rrweb), recording), port)
    scan.raise_problems()


def _serve(pages: "Pages", port: int) -> None:
    """Serve pages until a signal."""
    from recording_worker.cli.signals import until_signal
    from recording_worker.playing.server import PlayServer

    server = PlayServer(pages, port)
    say(server.url)
    say("Press Ctrl-C to stop.")
    with until_signal(), closing(server):
        server.run()


def _write(target: Path, html: Iterable[str]) -> None:
    try:
        write_private(target, (piece.encode() for piece in html))
    except OSError as error:
        raise ConfigError(f"{target}: {error.strerror}") from error
