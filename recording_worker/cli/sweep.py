"""`recording-worker sweep`: finds batch files that nothing refers to."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recording_worker.cli.options import S3_SETTINGS, settings_from, settings_options
from recording_worker.cli.say import json_text, say
from recording_worker.cli.times import parse_duration_ms

if TYPE_CHECKING:
    from recording_worker.operations.sweep import SweepResult
    from recording_worker.storage.base import StoredFile


@click.command(
    epilog="""\b
Examples:
  recording-worker sweep --storage-dir /var/lib/recordings --older-than 24h
  recording-worker sweep --storage s3://recordings --older-than 24h
  recording-worker sweep --config /etc/recording-worker.toml --older-than 7d --delete

\b
Exit codes: 0 done, 1 a file can't be removed, 2 wrong settings, or removing is not safe,
3 the brokers can't be asked."""
)
@settings_options(
    (
        "bootstrap_servers",
        "topic",
        "group_id",
        "compatibility",
        "metadata_topic",
        "storage_dir",
        "storage",
        *S3_SETTINGS,
    )
)
@click.option(
    "--older-than",
    default="24h",
    show_default=True,
    metavar="DURATION",
    help="The least age of a file: 30m, 24h, 7d.",
)
@click.option("--delete", is_flag=True, help="Remove the files found.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def sweep(older_than: str, delete: bool, as_json: bool, config: Path | None, **flags: Any) -> None:
    """List the batch files that no committed metadata refers to. Flushes that were aborted or crashed leave them; their
    messages are in other files. Also list what was never finished: hidden files, multipart uploads to S3.

    Files whose case is not certain are listed as not judged, and never removed. All workers that write to this
    storage must send their metadata to the same topic.
    """
    settings = settings_from(config, flags)
    age_ms = parse_duration_ms(older_than, "--older-than")
    from recording_worker.cli.output import progress_bar, standard_output
    from recording_worker.cli.signals import signals_end
    from recording_worker.clock import SystemClock
    from recording_worker.operations.sweep import Sweep

    run = Sweep(settings, progress_bar, SystemClock().now_ms())
    with signals_end():
        result = run.find(age_ms, delete=delete)
        if delete:
            run.remove(result)
    with standard_output():
        if as_json:
            sys.stdout.buffer.write(_json(result, run.notes, deleted=delete))
        else:
            _print(result, run.notes, deleted=delete)


def _json(result: "SweepResult", notes: list[str], *, deleted: bool) -> bytes:
    """Sizes in bytes, times in milliseconds since 1970."""

    def listed(file: "StoredFile") -> dict[str, object]:
        return {"file": file.name, "size": file.size, "created_ms": file.created_ms}

    figures = {
        "referred": result.referred,
        "young": result.young,
        "orphans": [listed(file) for file in result.orphans],
        "temporary": [listed(file) for file in result.temporary],
        "not_judged": [{**listed(file), "reason": reason} for file, reason in result.not_judged],
        "bytes": sum(file.size for file in result.removable),
        "deleted": deleted,
        "notes": notes,
    }
    return json_text(figures, indent=True)


def _print(result: "SweepResult", notes: list[str], *, deleted: bool) -> None:
    from rich.filesize import decimal

    for file in result.orphans:
        say(f"orphan: {file.name} ({decimal(file.size)})")
    for file in result.temporary:
        say(f"never finished: {file.name} ({decimal(file.size)})")
    for file, reason in result.not_judged:
        say(f"not judged: {file.name}: {reason}")
    for note in notes:
        say(f"note: {note}")
    total = sum(file.size for file in result.removable)
    say(
        f"{result.referred:,} files referred to, {result.young:,} younger, {len(result.not_judged):,} not judged;"
        f" {len(result.orphans):,} orphans and {len(result.temporary):,} never finished, {decimal(total)}"
        f" ({total:,} bytes): {'removed' if deleted else 'nothing removed'}"
    )
