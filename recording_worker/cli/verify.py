"""`recording-worker verify`: checks what was recorded."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recording_worker.cli.options import KEY_SETTINGS, S3_SETTINGS, settings_from, settings_options
from recording_worker.cli.say import json_text, say
from recording_worker.cli.times import parse_time
from recording_worker.errors import ConfigError
from recording_worker.storage.s3.location import S3_SCHEME
from recording_worker.text import counted

if TYPE_CHECKING:
    from recording_worker.operations.verify.check_all import VerifyReport


@click.command(
    epilog="""\b
Examples:
  recording-worker verify --bootstrap-servers kafka:9092 --storage-dir /var/lib/recordings
  recording-worker verify --config /etc/recording-worker.toml --json
  recording-worker verify --compatibility posthog --storage s3://recordings --posthog
  recording-worker verify --at file:///var/lib/recordings=/mnt/backup/recordings

\b
Exit codes: 0 nothing is wrong, 1 something is wrong, 2 wrong settings, or there was nothing to verify,
3 the brokers can't be asked."""
)
@settings_options(
    (
        "bootstrap_servers",
        "group_id",
        "compatibility",
        "metadata_topic",
        "dlq_topic",
        "storage_dir",
        "storage",
        "storage_prefix",
        *S3_SETTINGS,
        *KEY_SETTINGS,
    )
)
@click.option("--since", metavar="TIME", help="Check what was committed since this time: ISO 8601, UTC by default.")
@click.option(
    "--at",
    "moved",
    multiple=True,
    metavar="URL_PREFIX=PLACE",
    help="Read files whose URL begins with URL_PREFIX from this folder or s3:// URL instead, to check a copy.",
)
@click.option(
    "--posthog",
    is_flag=True,
    help="Check also whether PostHog's reader finds and plays it: URLs, keys, codec, and its list of each session.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def verify(
    since: str | None, moved: tuple[str, ...], posthog: bool, as_json: bool, config: Path | None, **flags: Any
) -> int:
    """Check what was recorded: every block can be read and matches its metadata, and every message
    up to the committed offsets is in exactly one block, or was dropped, redirected or sent to the DLQ, once.

    Reads the metadata and DLQ topics as a read_committed reader, and every block by its URL, if that is below the
    storage or a place of --at. It changes nothing, and may run while the service runs.
    """
    settings = settings_from(config, flags)
    from recording_worker.cli.output import progress_bar, standard_output
    from recording_worker.cli.signals import signals_end
    from recording_worker.clock import SystemClock
    from recording_worker.operations.verify.run import VerifyRun
    from recording_worker.storage.locate import Locator
    from recording_worker.storage.open import NO_STORAGE

    since_ms = None if since is None else parse_time(since, "--since")
    locator = Locator(settings, parse_moved(moved))
    if not locator.has_places:
        raise ConfigError(f"{NO_STORAGE}, or --at URL_PREFIX=PLACE")
    run = VerifyRun(settings, locator, progress_bar, SystemClock().now_ms())
    with signals_end():
        report = run.run(since_ms, posthog=posthog)
    with standard_output():
        if as_json:
            sys.stdout.buffer.write(json_text(report.to_dict(), indent=True))
        else:
            _print(report)
    if report.nothing_verified and not report.findings:
        raise ConfigError(f"there was nothing to verify: {report.nothing_verified}")
    return 1 if report.findings else 0


def _print(report: "VerifyReport") -> None:
    for finding in report.findings:
        say(str(finding))
    for note in report.notes:
        say(f"note: {note}")
    say(f"{report.blocks:,} blocks in {report.files:,} files: {report.messages:,} messages, {report.events:,} events")
    say(
        f"{report.accounts:,} accounts of {report.partitions:,} partitions: {report.recorded:,} messages recorded,"
        f" {report.dropped:,} dropped, {report.redirected:,} redirected, {report.dlq:,} sent to the DLQ,"
        f" {report.skipped:,} offsets skipped"
    )
    if report.written_by_others:
        say(f"{report.written_by_others:,} records of other programs: only PostHog's rules were checked on them")
    if report.findings:
        say(counted(len(report.findings), "damage"))
    elif not report.nothing_verified:
        say("nothing is wrong")


def parse_moved(texts: tuple[str, ...]) -> dict[str, str]:
    """Parse the values of `--at` into URL prefix → folder or s3:// URL. Raises ConfigError."""
    moved = {}
    for text in texts:
        prefix, equals, root = text.partition("=")
        if not equals or "://" not in prefix or not (root.startswith(S3_SCHEME) or Path(root).is_dir()):
            raise ConfigError(f"--at {text}: must be URL_PREFIX=PLACE, where PLACE is a folder or an s3:// URL")
        moved[prefix] = root
    return moved
