"""`recording-worker serve`: blocks for other people's players."""

from pathlib import Path
from typing import Any

import click

from recording_worker.cli.options import KEY_SETTINGS, S3_SETTINGS, settings_from, settings_options
from recording_worker.cli.say import say
from recording_worker.settings.fields.clickhouse import ClickHouseFields
from recording_worker.settings.fields.serving import ServingFields


@click.command(
    epilog="""\b
Examples:
  recording-worker serve --storage-dir /var/lib/recordings --serve-secret-file /etc/recording-worker/secret
  recording-worker serve --storage s3://recordings --serve-secret-file secret --serve-port 8080
  recording-worker serve --config /etc/recording-worker.toml --serve-follow

\b
Exit codes: 0 stopped as asked, 1 failed, 2 wrong settings, 3 can't start."""
)
@settings_options(
    (
        *("storage_dir", "storage", *S3_SETTINGS, *KEY_SETTINGS),
        *ServingFields.model_fields,
        *ClickHouseFields.model_fields,
        *("bootstrap_servers", "metadata_topic", "not_ready_after", "log_level", "log_json"),
    )
)
def serve(config: Path | None, **flags: Any) -> None:
    """Serve sessions and their blocks over HTTP, as PostHog's recording API does.

    Callers need a token of their team, signed with a secret of --serve-secret-file. Blocks come as raw snappy or as
    JSON lines, whatever they are stored as, and decrypted with --key-store. Needs the extra `serve`.
    """
    settings = settings_from(config, flags)
    from recording_worker.cli.signals import until_signal
    from recording_worker.serving.server import run_server

    with until_signal():  # uvicorn raises the signal again that stopped it
        run_server(settings, say)
