"""`recording-worker delete`: deletes sessions for good, and certifies it."""

import sys
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recording_worker.cli.options import KEY_SETTINGS, S3_SETTINGS, check_folder_of, settings_from, settings_options
from recording_worker.cli.say import json_text, say
from recording_worker.errors import ConfigError, WorkerError
from recording_worker.formats.session_keys import Session
from recording_worker.settings.choices import KeyStoreKind
from recording_worker.settings.fields.clickhouse import ClickHouseFields
from recording_worker.text import counted

if TYPE_CHECKING:
    from recording_worker.operations.deletion.certificate import Certificate
    from recording_worker.operations.deletion.run import PlannedSession

_LONGEST_NAME = 200


@click.command(
    epilog="""\b
Examples:
  recording-worker delete --config worker.toml --team 2 --session 0192… --by ann@example.com --dry-run
  recording-worker delete --config worker.toml --from sessions.txt --by ann@example.com --certificate done.json
  recording-worker delete --config worker.toml --team 2 --distinct-id user-17 --by ann@example.com --scan-storage

\b
A file of sessions has one per line: TEAM SESSION. Lines that begin with # don't count.

\b
Exit codes: 0 all of it is gone, 1 something is incomplete, or the command failed, 2 wrong settings,
3 the brokers can't be asked, 130 and 143 stopped by Ctrl-C and SIGTERM: run it again."""
)
@settings_options(
    (
        *("bootstrap_servers", "topic", "group_id", "compatibility", "metadata_topic", "console_logs_topic"),
        *("dlq_topic", "overflow_topic", "backfill_topic", "storage_dir", "storage", *S3_SETTINGS),
        *("s3_encryption", "s3_kms_key", *KEY_SETTINGS),
        *("keys_redis", "key_check_interval", "max_batch_age"),
        *ClickHouseFields.model_fields,
    )
)
@click.option(
    "--team", "team_id", type=click.IntRange(min=1), metavar="N", help="The team of --session and --distinct-id."
)
@click.option("--session", "session_ids", multiple=True, metavar="ID", help="Delete this session.")
@click.option(
    "--from",
    "list_file",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help="Delete the sessions that this file lists; - for standard input.",
)
@click.option(
    "--distinct-id",
    "distinct_ids",
    multiple=True,
    metavar="ID",
    help="Delete the sessions of this person, as the metadata topic knows them, and ClickHouse if it is set.",
)
@click.option(
    "--rewrite", is_flag=True, help="Erase blocks of the sessions that are stored in the clear from their files."
)
@click.option("--by", metavar="WHO", help="Who deletes. It stands in the key store and on the certificate.")
@click.option(
    "--scan-storage", is_flag=True, help="Look for blocks in the indexes of all files, too; it reads them all."
)
@click.option(
    "--certificate",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the certificate to this file, too, as JSON.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the certificate as JSON.")
@click.option("--dry-run", is_flag=True, help="Show what would be deleted, and delete nothing.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def delete(
    team_id: int | None,
    session_ids: tuple[str, ...],
    list_file: Any,
    distinct_ids: tuple[str, ...],
    by: str | None,
    scan_storage: bool,
    rewrite: bool,
    certificate: Path | None,
    as_json: bool,
    dry_run: bool,
    yes: bool,
    config: Path | None,
    **flags: Any,
) -> int:
    """Delete sessions: destroy their keys, so that nothing can read them any more, wherever their files are. Then hide
    them on the metadata topic, try to read each block, and print a certificate, with every place that may still hold
    bytes of them.

    With --rewrite, blocks that are stored in the clear are gone, too: zeros take their place, in files that are
    replaced as a whole. On S3, run one such deletion at a time.

    This can't be undone. It may be stopped and run again at any time, also while the service runs.
    """
    settings = settings_from(config, flags)
    sessions = _listed(team_id, session_ids, list_file)
    if (session_ids or distinct_ids) and team_id is None:
        raise ConfigError("--session and --distinct-id need --team")
    if not sessions and not distinct_ids:
        raise ConfigError("nothing to delete: say --session, --from or --distinct-id")
    if not dry_run:
        by = _checked_name(by)
        if certificate is not None:
            check_folder_of(certificate, "--certificate")
    if not yes and not dry_run and not sys.stdin.isatty():
        raise ConfigError("nothing is deleted: nobody can be asked here, so say --yes")
    from recording_worker.cli.output import progress_bar, standard_output
    from recording_worker.cli.signals import Interruptible
    from recording_worker.clock import SystemClock
    from recording_worker.operations.deletion.run import DeletionRun
    from recording_worker.operations.keys import opened_keys
    from recording_worker.private_file import write_private

    store = None if rewrite and settings.key_store is KeyStoreKind.NONE else opened_keys(settings)
    with closing(store) if store is not None else nullcontext(), Interruptible() as interruptions:
        run = DeletionRun(settings, store, progress_bar, SystemClock(), None if dry_run else interruptions)
        if team_id is not None and distinct_ids:
            sessions |= run.sessions_of(team_id, distinct_ids)
            if not sessions:
                raise WorkerError("nothing to delete: no session of these people is known")
        plan = run.plan(sessions, scan_storage=scan_storage)
        if dry_run or not yes:
            with standard_output():
                _print_plan(plan)
            if dry_run:
                return 0
            click.confirm("Delete them?", abort=True)
        assert by is not None
        made = run.delete(plan, by, rewrite=rewrite)
    text = json_text(made.to_dict(), indent=True)
    with standard_output():
        _print(made, text if as_json else None)
    if certificate is not None:
        write_private(certificate, [text])
    return 1 if made.problems else 0


def _listed(team_id: int | None, session_ids: tuple[str, ...], list_file: Any) -> set[Session]:
    """Return the sessions that the options name. Raises ConfigError."""
    if "" in session_ids:
        raise ConfigError("--session: is empty")
    sessions = {(team_id, session_id) for session_id in session_ids if team_id is not None}
    for number, line in enumerate(list_file or (), 1):
        match line.split(maxsplit=1):
            case []:
                continue
            case [word, *_] if word.startswith("#"):
                continue
            case [team, session_id] if team.isdecimal():
                sessions.add((int(team), session_id.strip()))
            case _:
                raise ConfigError(f"{list_file.name}, line {number}: must be TEAM SESSION, such as 2 0192e72a-…")
    return sessions


def _checked_name(by: str | None) -> str:
    if not by or len(by) > _LONGEST_NAME or not by.isprintable():
        raise ConfigError(f"say who deletes with --by WHO, in at most {_LONGEST_NAME} characters")
    return by


def _print_plan(plan: "dict[Session, PlannedSession]") -> None:
    for (team_id, session_id), planned in plan.items():
        blocks = counted(len(planned.known.blocks), "block")
        say(f"session {session_id} of team {team_id}: {blocks}; {planned.key}")
    say(f"{counted(len(plan), 'session')} to delete")


def _print(made: "Certificate", as_json: bytes | None) -> None:
    if as_json is not None:
        sys.stdout.buffer.write(as_json)
        return
    for line in made.lines():
        say(line)
