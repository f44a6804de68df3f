"""`recording-worker demo`: the whole of it on one machine."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from recording_worker.errors import WorkerError

if TYPE_CHECKING:
    from recording_worker.demo.run import DemoResult


@click.command(
    epilog="""\b
Examples:
  recording-worker demo
  recording-worker demo --seconds 60 --workers 4 --out /tmp/recordings

\b
What is in the folder afterwards:
  blocks/{retention}/…                   the batch files
  recording-worker.toml, teams.toml,
  restrictions.toml                      how the service was set up
  worker.log                             what it said"""
)
@click.option(
    "--seconds", type=click.FloatRange(min=0, min_open=True), default=8, show_default=True, help="How long to send."
)
@click.option("--workers", type=click.IntRange(min=1), default=2, show_default=True, help="Worker processes.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="demo-out",
    show_default=True,
    metavar="DIR",
    help="Folder to write; one of an earlier demo is written anew.",
)
def demo(seconds: float, workers: int, out: Path) -> None:
    """See it all at work on this machine: needs no Kafka, no storage, no network.

    Starts a Kafka broker inside this process (librdkafka's own, on a real port), runs the service beside
    it, sends it made-up recordings of a small shop, bad messages among them, and checks that each one
    came out where it should: produced = recorded + dropped + DLQ + redirected.
    """
    from recording_worker.cli.output import sigterm_ends
    from recording_worker.demo.run import run_demo

    with sigterm_ends():
        result = run_demo(seconds, workers, out, lambda text: click.echo(f"demo: {text}"))
    _print_result(result, out)
    if not result.adds_up:
        raise WorkerError("what came out is not what went in: see the table above")


def _print_result(result: "DemoResult", out: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("", "produced", "came out", "", title="What became of each message", title_justify="left")
    for outcome in sorted(result.produced | result.came_out):
        name = outcome.disposition.name.lower().replace("ok", "recorded")
        label = f"{name}: {outcome.reason.label}" if outcome.reason else name
        row = (result.produced[outcome], result.came_out[outcome])
        table.add_row(label, *(f"{count:,}" for count in row), "✓" if row[0] == row[1] else "MISMATCH")
    events = (result.produced_events, result.recorded.events)
    table.add_section()
    for label, row in (
        ("all messages", (result.produced.total(), result.came_out.total())),
        ("events in batch files", events),
    ):
        table.add_row(label, *(f"{count:,}" for count in row), "✓" if row[0] == row[1] else "MISMATCH")
    for column in table.columns[1:3]:
        column.justify = "right"
    Console().print(table)
    recorded, mib = result.recorded, result.value_bytes / 2**20
    click.echo(
        f"{result.produced.total() / result.seconds:,.0f} messages/s, {recorded.events / result.seconds:,.0f} events/s,"
        f" {mib / result.seconds:.1f} MiB/s as carried, over {result.seconds:.1f} s;"
        f" {len(recorded.sessions):,} sessions in {recorded.files} files"
    )
    click.echo(f"{'PASS: each message came out where it should.' if result.adds_up else 'FAIL'}")
    if recorded.sessions:
        session = recorded.sessions.most_common(1)[0][0]
        click.echo(
            "\nHave a look:\n"
            f"  recording-worker blocks {out}/blocks\n"
            f"  recording-worker export {out}/blocks --session {session} | head\n"
            f"  zstd -dc {out}/blocks/*/* | wc -l"
        )
