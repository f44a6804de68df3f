"""`recording-worker ingest`: message files to a folder."""

import json
from pathlib import Path
from typing import Any

import click

from recording_worker.cli.options import (
    KEY_SETTINGS,
    MESSAGE_FILES_HELP,
    SETTINGS_HELP,
    message_files,
    restrict_files,
    settings_from,
    settings_options,
)
from recording_worker.cli.say import say

_SETTINGS = (
    "teams",
    "any_token",
    "restrictions",
    "max_decompressed_bytes",
    "max_timestamp_diff_days",
    "max_session_id_characters",
    "max_distinct_id_characters",
    "compatibility",
    "dlq_headers",
    "require_ids_in_headers",
    "normalize_session_ids",
    "correct_clock_skew",
    "far_event_drops_message",
    "max_events_per_session_per_batch",
    "max_console_logs_per_session_per_batch",
    "codec",
    "zstd_level",
    "zstd_dictionary",
    "unpack_client_compression",
    "max_batch_bytes",
    "memory",
    "workers",
    "storage_file_mode",
    "file_names",
    *KEY_SETTINGS,
)


@click.command(
    epilog=f"""\b
Examples:
  recording-worker ingest dump.jsonl.zst --out recordings --any-token
  recording-worker ingest part-*.jsonl.zst --out recordings --teams teams.toml --workers 8
  recording-worker blocks recordings/blocks

{MESSAGE_FILES_HELP}

\b
What is in the folder afterwards:
  blocks/{{retention}}/…   the batch files
  topics/{{topic}}.jsonl   what the service sends to Kafka: metadata, console logs, warnings, DLQ, overflow
  summary.json           the printed figures

{SETTINGS_HELP}"""
)
@message_files
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder to write, new or empty. It appears once everything is done, or not at all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON, and nothing else.")
@settings_options(_SETTINGS)
def ingest(files: tuple[Path, ...], out: Path, as_json: bool, config: Path | None, **flags: Any) -> None:
    """Run FILES of messages through the worker's pipeline into a folder, without Kafka.

    For backfills and first runs. Each file is a partition, and each line number is an offset. For each
    message, "now" is its own timestamp. A file is read by one worker, so more workers than files are not used.
    """
    settings = settings_from(config, flags)
    restrict_files(settings)
    from recording_worker.cli.output import files_progress_bar, print_figures
    from recording_worker.cli.signals import signals_end
    from recording_worker.ingest.run import ingest as run_ingest

    with signals_end(), files_progress_bar("reading", files) as advance:
        summary = run_ingest(settings, files, out, advance)
    if as_json:
        say(json.dumps(summary))
    else:
        print_figures(f"Written to {out}", summary)
