"""`recording-worker check`: looks at everything that `run` would need."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recording_worker.cli.options import (
    SETTINGS_HELP,
    SettingsCommand,
    checked_settings,
    given_settings,
    settings_options,
    start_logs,
)
from recording_worker.cli.say import json_text, say
from recording_worker.errors import ConfigError
from recording_worker.redaction import redact
from recording_worker.settings.load import SCALARS
from recording_worker.settings.model import Settings
from recording_worker.text import counted

DEFAULT_PARTITIONS = 16

if TYPE_CHECKING:
    from recording_worker.operations.check.finding import Finding


@click.command(
    cls=SettingsCommand,
    epilog=f"""\b
Examples:
  recording-worker check --config /etc/recording-worker.toml
  recording-worker check --config /etc/recording-worker.toml --json
  recording-worker check --config /etc/recording-worker.toml --create-topics --partitions 32
  recording-worker check --config /etc/recording-worker.toml --print-config

{SETTINGS_HELP}

\b
Exit codes: 0 the service can start, though there may be warnings; 2 a setting, a file or a folder is wrong;
3 something is away, missing or refuses: brokers, topics, rights, storage, key store, PostgreSQL, Redis.
If there are problems of both kinds, the exit code is 2.""",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.option(
    "--print-config",
    is_flag=True,
    help="Print each setting, its value and where that comes from, without secrets. Check nothing.",
)
@click.option(
    "--create-topics", is_flag=True, help="Create the topics that are missing, say how, and check after that."
)
@click.option(
    "--partitions",
    type=click.IntRange(min=1),
    default=DEFAULT_PARTITIONS,
    show_default=True,
    metavar="N",
    help="Partitions of each topic that is created.",
)
@click.option(
    "--replication",
    type=click.IntRange(min=1),
    metavar="N",
    help="Copies of each partition of a topic that is created; if not set, 3, or as many as there are brokers.",
)
@click.option(
    "--topic-config",
    multiple=True,
    metavar="[TOPIC:]NAME=VALUE",
    help="Kafka's setting of a topic that is created, such as retention.ms=86400000; for all of them, or for the one"
    " that this setting names: dlq_topic:retention.ms=-1.",
)
@settings_options(SCALARS)
def check(
    as_json: bool,
    print_config: bool,
    create_topics: bool,
    partitions: int,
    replication: int | None,
    topic_config: tuple[str, ...],
    config: Path | None,
    **flags: Any,
) -> int:
    """Check everything that `run` would need, and report all problems at once, within 10 seconds.

    It takes the same settings as `run`. It records a made-up session, reads it back from storage as a reader does, and
    removes it. It may run while the service runs.
    """
    given = given_settings(config, flags)
    try:
        settings = checked_settings(given)
    except ConfigError as error:
        if not as_json or print_config:
            raise
        from recording_worker.operations.check.finding import Finding

        lines = str(error).splitlines()
        return _report([Finding.problem("settings", line, exit_code=error.exit_code) for line in lines], as_json=True)
    start_logs(settings)
    if print_config:
        _print_config(settings, given.sources, as_json=as_json)
        return 0
    from recording_worker.cli.signals import signals_end
    from recording_worker.operations.check.check_all import check_all
    from recording_worker.operations.check.create import NewTopics, parse_config
    from recording_worker.operations.check.create import create_topics as create
    from recording_worker.operations.check.finding import Finding

    findings: list[Finding] = []
    with signals_end():
        if create_topics:
            findings += create(settings, NewTopics(partitions, replication, parse_config(topic_config)))
        findings += check_all(settings)
    return _report(findings, as_json=as_json)


def _report(findings: "Sequence[Finding]", *, as_json: bool) -> int:
    """Print what was found. Return the exit code."""
    from recording_worker.cli.output import standard_output
    from recording_worker.operations.check.finding import Verdict, exit_code_of

    counts = {verdict: sum(finding.verdict is verdict for finding in findings) for verdict in Verdict}
    code = exit_code_of(findings)
    with standard_output():
        if as_json:
            rows = [
                {
                    "subject": finding.subject,
                    "verdict": finding.verdict.value,
                    "text": redact(finding.text),
                    "advice": redact(finding.advice),
                }
                for finding in findings
            ]
            result = {"exit_code": code, **{f"{verdict}s": number for verdict, number in counts.items()}}
            sys.stdout.buffer.write(json_text({**result, "findings": rows}, indent=True))
            return code
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            first, *more = redact(finding.text).splitlines()
            say(f"{finding.verdict:<8} {finding.subject:<{width}}  {first}")
            for line in [*more, *([f"to do: {redact(finding.advice)}"] if finding.advice else [])]:
                say(f"{'':<8} {'':<{width}}  {line}")
        problems = counted(counts[Verdict.PROBLEM], "problem"), counted(counts[Verdict.WARNING], "warning")
        say(f"{problems[0]}, {problems[1]}: the service {'can not start' if code else 'can start'}")
    return code


def _print_config(settings: Settings, sources: Mapping[str, str], *, as_json: bool) -> None:
    from recording_worker.cli.output import standard_output
    from recording_worker.settings.shown import shown_settings

    rows = list(shown_settings(settings, sources))
    with standard_output():
        if as_json:
            sys.stdout.buffer.write(json_text({"settings": [row._asdict() for row in rows]}, indent=True))
            return
        names, values = max(len(row.name) for row in rows), min(60, max(len(row.value) for row in rows))
        for row in rows:
            say(f"{row.name:<{names}}  {row.value or '-':<{values}}  {row.source}")
