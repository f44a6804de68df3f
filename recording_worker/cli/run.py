"""`recording-worker run`: the service."""

from pathlib import Path
from typing import Any

import click
import structlog

from recording_worker.cli.options import SETTINGS_HELP, SettingsCommand, restrict_files, settings_from, settings_options
from recording_worker.settings.load import SERVICE_SCALARS

log = structlog.get_logger()


@click.command(
    cls=SettingsCommand,
    epilog=f"""\b
Examples:
  recording-worker run --bootstrap-servers kafka:9092 --teams teams.toml --storage-dir /var/lib/recordings
  recording-worker run --any-token --storage-dir ./recordings --workers 2
  recording-worker run --config /etc/recording-worker.toml

{SETTINGS_HELP}

\b
SIGTERM or Ctrl-C flushes and commits what was read, then exits with 0.
Exit codes: 0 stopped as asked, 1 failed, 2 wrong settings, 3 can't start.""",
)
@settings_options(SERVICE_SCALARS)
def run(config: Path | None, **flags: Any) -> int:
    """Run the service: read session recordings from Kafka and write them to storage as batch files.

    It needs to know where files go (--storage-dir or --storage) and which tokens it accepts
    (--teams, --teams-postgres or --any-token). Everything else has a default.
    It first checks what it needs, and starts if there is no problem. `check` looks at even more.
    """
    settings = settings_from(config, flags)
    restrict_files(settings)
    from recording_worker.cli.signals import signals_end
    from recording_worker.operations.check.check_all import check_before_start
    from recording_worker.operations.check.finding import Verdict, error_of
    from recording_worker.processes.service import run_supervisor

    with signals_end():
        findings = check_before_start(settings)
    if error := error_of(findings):
        raise error
    for finding in findings:
        if finding.verdict is Verdict.WARNING:
            log.warning("check before the start", subject=finding.subject, found=finding.text, advice=finding.advice)
    return run_supervisor(settings)
