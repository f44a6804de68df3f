"""`recording-worker demo`: the whole service on one machine."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from recording_worker.cli.say import say
from recording_worker.errors import WorkerError
from recording_worker.outcome import Disposition

if TYPE_CHECKING:
    from recording_worker.demo.run import DemoResult


_NAMES = {
    Disposition.OK: "recorded",
    Disposition.DROP: "dropped",
    Disposition.REDIRECT: "redirected",
    Disposition.DLQ: "DLQ",
}


@click.command(
    epilog="""\b
Examples:
  recording-worker demo
  recording-worker demo --seconds 60 --workers 4 --out /tmp/recordings

\b
What is in the folder afterwards:
  blocks/{retention}/…                   the batch files
  recording-worker.toml, teams.toml,
  restrictions.toml                      the settings of the service
  worker.log                             its log"""
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=8,
    show_default=True,
    metavar="N",
    help="How long to send, in seconds.",
)
@click.option(
    "--workers", type=click.IntRange(min=1), default=2, show_default=True, metavar="N", help="Worker processes."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="demo-out",
    show_default=True,
    metavar="DIR",
    help="Folder to write. The folder of an earlier demo is replaced.",
)
def demo(seconds: float, workers: int, out: Path) -> None:
    """Try the whole service on this machine. Needs no Kafka, no storage and no network.

    The demo starts a Kafka broker in its own process (librdkafka's, on a real port), and runs the service.
    It sends made-up recordings of a small shop, with bad messages among them. Then it checks that each
    message came out where it should: produced = recorded + dropped + DLQ + redirected.
    """
    from recording_worker.cli.output import progress_bar
    from recording_worker.cli.signals import signals_end
    from recording_worker.demo.run import run_demo

    with signals_end(), progress_bar("sending", seconds) as advance:
        result = run_demo(seconds, workers, out, lambda text: say(f"demo: {text}"), advance)
    _print_outcomes(result)
    _print_figures(result)
    if not result.adds_up:
        raise WorkerError("what came out is not what went in: see the table above")
    say("PASS: each message came out where it should.")
    _print_what_next(result, out)


def _print_outcomes(result: "DemoResult") -> None:
    from rich.table import Table

    from recording_worker.cli.tables import table_console

    def add(name: str, reason: str, produced: int, came_out: int) -> None:
        counted_again = name != _NAMES[Disposition.OK] and produced < came_out <= produced + result.read_again
        verdict = "✓" if produced == came_out else "✓ some twice" if counted_again else "MISMATCH"
        table.add_row(name, reason, f"{produced:,}", f"{came_out:,}", verdict)

    table = Table(title="Where each message ended", title_justify="left")
    for heading in ("", "reason"):
        table.add_column(heading)
    for heading in ("produced", "came out"):
        table.add_column(heading, justify="right")
    table.add_column()
    for outcome in sorted(result.produced | result.came_out):
        reason = outcome.reason.label if outcome.reason else ""
        add(_NAMES[outcome.disposition], reason, result.produced[outcome], result.came_out[outcome])
    table.add_section()
    add("all messages", "", result.produced.total(), result.came_out.total())
    verdict = "✓" if result.produced_events == result.recorded.events else "MISMATCH"
    table.add_row("their events", "", f"{result.produced_events:,}", f"{result.recorded.events:,}", verdict)
    table_console().print(table)


def _print_figures(result: "DemoResult") -> None:
    recorded, seconds = result.recorded, result.seconds
    mib = result.value_bytes / 2**20
    say(
        f"{result.produced.total() / seconds:,.0f} messages/s, {recorded.events / seconds:,.0f} events/s and"
        f" {mib / seconds:,.1f} MiB/s as carried, over {seconds:.1f} s"
    )
    say(f"{len(recorded.sessions):,} sessions in {recorded.blocks:,} blocks of {recorded.files:,} files")
    if result.read_again:
        say(
            f"{result.read_again:,} messages were read more than once, because a partition changed hands;"
            f" {recorded.repeated:,} were recorded twice. Readers recognize them by their offsets"
        )


def _print_what_next(result: "DemoResult", out: Path) -> None:
    session = result.recorded.sessions.most_common(1)[0][0]
    blocks = shlex.quote(f"{out}/blocks")
    program = _program()
    for line in (
        "",
        "Have a look:",
        f"  {program} blocks {blocks}",
        f"  {program} play {blocks}",
        f"  {program} export {blocks} --session {session} | head",
        f"  zstd -dc {blocks}/*/* | wc -l",
    ):
        say(line)


def _program() -> str:
    """Return what a user types for this program: its name if that is on the path, else its script's path."""
    script = Path(sys.argv[0])
    if script.name == "__main__.py":
        return "python -m recording_worker"
    return script.name if shutil.which(script.name) else os.path.relpath(script)
