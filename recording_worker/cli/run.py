"""`recording-worker run`: the service."""

from pathlib import Path
from typing import Any

import click

from recording_worker.cli.options import SETTINGS_HELP, restrict_files, settings_from, settings_options
from recording_worker.errors import ConfigError
from recording_worker.settings.load import SCALARS, flag_of
from recording_worker.settings.model import Settings

_SECTIONS = {
    "bootstrap_servers": "Kafka",
    "teams": "Teams and restrictions",
    "max_decompressed_bytes": "What is accepted",
    "storage_dir": "Session batches and storage",
    "workers": "Processes",
}
"""Each section of the help begins at this setting."""


class _Run(click.Command):
    """The command. Its help lists its many options in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        heading = "Options"
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            heading = _SECTIONS.get(parameter.name or "", "Options" if parameter.name == "help" else heading)
            if record := parameter.get_help_record(ctx):
                sections.setdefault(heading, []).append(record)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl(records)


@click.command(
    cls=_Run,
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
@settings_options(SCALARS)
def run(config: Path | None, **flags: Any) -> int:
    """Run the service: read session recordings from Kafka and write them to storage as batch files.

    It needs to know where files go (--storage-dir or --storage) and which tokens it accepts
    (--teams, --teams-postgres or --any-token). Everything else has a default.
    """
    settings = settings_from(config, flags)
    _check_complete(settings)
    restrict_files(settings)
    from recording_worker.processes.service import run_supervisor

    return run_supervisor(settings)


def _check_complete(settings: Settings) -> None:
    """Raise ConfigError with a line for each setting that is missing."""
    problems = []
    if settings.storage_dir is None and settings.storage is None:
        problems.append(f"no storage: say where batch files go with {flag_of('storage_dir')} DIR")
    if settings.teams is None and settings.teams_postgres is None and not settings.any_token:
        problems.append(
            f"no teams: give a file of teams with {flag_of('teams')} FILE, or a database with"
            f" {flag_of('teams_postgres')} URL, or accept every token as a team with {flag_of('any_token')}"
        )
    try:
        settings.check_memory()
    except ValueError as problem:
        problems.append(str(problem))
    if problems:
        raise ConfigError("\n".join(problems))
