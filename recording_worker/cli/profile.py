"""`recording-worker profile`: what a running worker does."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recording_worker.cli.options import check_folder_of, settings_from, settings_options
from recording_worker.cli.say import say

if TYPE_CHECKING:
    from recording_worker.operations.profile import Profile


@click.command(
    epilog="""\b
Examples:
  recording-worker profile --worker 0 --seconds 30
  recording-worker profile --worker 3 --out worker-3.json    # for https://speedscope.app
  recording-worker profile --worker 0 --config /etc/recording-worker/recording-worker.toml

\b
Exit codes: 0 done, 1 the worker can't be watched, 2 wrong settings, or py-spy is missing."""
)
@click.option("--worker", required=True, type=click.IntRange(min=0), metavar="N", help="The number of the worker.")
@click.option(
    "--seconds", type=click.IntRange(1, 3600), default=10, show_default=True, metavar="S", help="How long to watch."
)
@click.option(
    "--rate",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    metavar="N",
    help="Looks a second. Each stops the worker for about a millisecond.",
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="File to write: a flame graph (.svg), or a profile for speedscope (.json). By default worker-N.svg.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the stages as JSON, and nothing else.")
@click.option(
    "--pid",
    type=click.IntRange(min=1),
    metavar="PID",
    help="The worker's process, if the ops server can't be asked. The log names it.",
)
@settings_options(("ops_host", "ops_port", "ops_token_file", "ops_tls_certificate", "ops_tls_client_ca"))
def profile(
    worker: int,
    seconds: int,
    rate: int,
    out: Path | None,
    as_json: bool,
    pid: int | None,
    config: Path | None,
    **flags: Any,
) -> None:
    """Watch a running worker: a flame graph with Python's and native frames, and what each stage took meanwhile.

    Runs on the service's machine, and asks its ops server which process the worker is. The service needs no restart
    and no other setting. Needs the extra `profile` (py-spy), and the right to trace the process.
    """
    settings = settings_from(config, flags)
    from recording_worker.cli.signals import signals_end
    from recording_worker.operations.profile import profile as watch

    path = out or Path(f"worker-{worker}.svg")
    check_folder_of(path, "--out")
    with signals_end():
        found = watch(settings, worker, seconds, rate, path, pid)
    if as_json:
        say(json.dumps({**found._asdict(), "stages": [stage._asdict() for stage in found.stages]}))
        return
    _print(found, worker)
    say(f"Written to {path}")


def _print(found: "Profile", worker: int) -> None:
    from recording_worker.cli.tables import plain_table, table_console

    table = plain_table()
    for name in ("stage", "s", "CPU s", "CPU %"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage in found.stages:
        cpu = stage.cpu_seconds
        share = "" if cpu is None or not found.cpu_seconds else f"{100 * cpu / found.cpu_seconds:.0f}"
        table.add_row(stage.name, f"{stage.seconds:.2f}", "" if cpu is None else f"{cpu:.2f}", share)
    say(
        f"Worker {worker} (process {found.pid}) in {found.seconds:.1f} s: {found.cpu_seconds:.2f} CPU s,"
        f" {found.messages:,.0f} messages, {found.bytes / 1e6:,.1f} MB uncompressed"
    )
    table_console().print(table)
