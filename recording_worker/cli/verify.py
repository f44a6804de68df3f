"""`recording-worker verify`: checks what was recorded."""

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from recording_worker.cli.options import S3_SETTINGS, settings_from, settings_options
from recording_worker.cli.times import parse_time
from recording_worker.text import printable

if TYPE_CHECKING:
    from recording_worker.operations.verify.check_all import VerifyReport


@click.command(
    epilog="""\b
Examples:
  recording-worker verify --bootstrap-servers kafka:9092
  recording-worker verify --config /etc/recording-worker.toml --json
  recording-worker verify --at file:///var/lib/recordings=/mnt/backup/recordings

\b
Exit codes: 0 nothing is wrong, 1 something is, 2 wrong settings, 3 the brokers can't be asked."""
)
@settings_options(("bootstrap_servers", "group_id", "metadata_topic", "dlq_topic", *S3_SETTINGS))
@click.option("--since", metavar="TIME", help="Check what was committed since then: ISO 8601, UTC unless it says.")
@click.option(
    "--at",
    "moved",
    multiple=True,
    metavar="URL_PREFIX=PLACE",
    help="Read files whose URL begins so from this folder or s3:// URL instead: for a copy of them.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def verify(since: str | None, moved: tuple[str, ...], as_json: bool, config: Path | None, **flags: Any) -> int:
    """Check what was recorded: every block can be read and is what its metadata says, and every message
    up to the committed offsets is in exactly one block, or was dropped, redirected or sent to the DLQ, once.

    Reads the metadata and DLQ topics as a read_committed reader does, and every block by its URL.
    It changes nothing and may run beside the service.
    """
    settings = settings_from(config, flags)
    from recording_worker.cli.output import progress_bar, signals_end
    from recording_worker.cli.scanning import standard_output
    from recording_worker.clock import SystemClock
    from recording_worker.operations.verify.run import VerifyRun
    from recording_worker.storage.locate import Locator, parse_moved

    since_ms = None if since is None else parse_time(since, "--since")
    run = VerifyRun(settings, Locator(settings, parse_moved(moved)), progress_bar, SystemClock().now_ms())
    with signals_end():
        report = run.run(since_ms)
    with standard_output():
        if as_json:
            figures = asdict(report)
            del figures["findings"]
            figures["damages"] = [finding.to_dict() for finding in report.findings]
            sys.stdout.buffer.write(orjson.dumps(figures, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
        else:
            _print(report)
    return 1 if report.findings else 0


def _print(report: "VerifyReport") -> None:
    for finding in report.findings:
        click.echo(printable(str(finding)))
    for note in report.notes:
        click.echo(f"note: {note}")
    click.echo(
        f"{report.blocks:,} blocks in {report.files:,} files: {report.messages:,} messages, {report.events:,} events"
    )
    click.echo(
        f"{report.accounts:,} accounts of {report.partitions:,} partitions: {report.recorded:,} messages recorded,"
        f" {report.dropped:,} dropped, {report.redirected:,} redirected, {report.dlq:,} sent to the DLQ,"
        f" {report.skipped:,} offsets skipped"
    )
    number = len(report.findings)
    click.echo(f"{number:,} damage{'s' if number > 1 else ''}" if number else "nothing is wrong")
