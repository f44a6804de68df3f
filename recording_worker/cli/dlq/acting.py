"""`recording-worker dlq redrive` and `drop`: send messages on the DLQ back, or mark them as dealt with."""

import getpass
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recording_worker.cli.dlq.selecting import DLQ_SETTINGS, places_argument, selecting, summary_of
from recording_worker.cli.options import settings_from, settings_options
from recording_worker.cli.say import say
from recording_worker.errors import ConfigError, WorkerError
from recording_worker.operations.dlq.dead_letter import Selection
from recording_worker.text import counted

if TYPE_CHECKING:
    from recording_worker.operations.dlq.audited_producer import Task
    from recording_worker.operations.dlq.redrive import RedriveRequest, RedriveResult
    from recording_worker.settings.model import Settings

_EXIT_CODES = """\b
Exit codes: 0 done, 1 some messages could not be handled, or the command failed, 2 wrong settings,
3 the brokers can't be asked, 130 and 143 stopped by Ctrl-C and SIGTERM: the rest is left for the next call."""


@click.command(
    short_help="Send messages back to where they came from.",
    epilog=f"""\b
Examples:
  recording-worker dlq redrive --reason invalid_json --dry-run
  recording-worker dlq redrive --token phc_… --since 2026-11-24T03:30 --rate 100
  recording-worker dlq redrive 0:123 0:124

{_EXIT_CODES}""",
)
@settings_options(DLQ_SETTINGS)
@places_argument
@selecting
@click.option("--to-topic", metavar="TOPIC", help="Send messages to this topic, not to the one they came from.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Send at most this many messages.")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Send at most this many per second.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be sent, and send nothing.")
def redrive(
    selection: Selection,
    to_topic: str | None,
    limit: int | None,
    rate: float | None,
    dry_run: bool,
    config: Path | None,
    **flags: Any,
) -> None:
    """Send messages on the DLQ back to the topic they came from. Key, value and headers are unchanged; each message
    goes to the end of the partition it was in. Takes the messages at PLACE..., or all; the options narrow that down.

    A message is sent once, no matter how often this is called and how it ends. If its cause persists, it comes to
    the DLQ again, as a new message.
    """
    from recording_worker.operations.dlq.audit import Action
    from recording_worker.operations.dlq.redrive import RedriveRequest

    settings = settings_from(config, flags)
    _act(settings, RedriveRequest(Action.REDRIVE, selection, to_topic, limit, rate), dry_run=dry_run)


@click.command(
    short_help="Mark messages as dealt with.",
    epilog=f"""\b
Examples:
  recording-worker dlq drop --reason invalid_compressed_data --until 2026-11-24T03:30 --dry-run
  recording-worker dlq drop 0:123 --yes

{_EXIT_CODES}""",
)
@settings_options(DLQ_SETTINGS)
@places_argument
@selecting
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Drop at most this many messages.")
@click.option("--dry-run", is_flag=True, help="Show what would be dropped, and drop nothing.")
@click.option("--yes", is_flag=True, help="Don't ask.")
def drop(selection: Selection, limit: int | None, dry_run: bool, yes: bool, config: Path | None, **flags: Any) -> None:
    """Mark messages on the DLQ as dealt with: `list` no longer shows them, and `redrive` does not send them. They
    stay on the topic as long as it keeps them. Takes the messages at PLACE..., or all; the options narrow that down.

    This can't be undone.
    """
    from recording_worker.operations.dlq.audit import Action
    from recording_worker.operations.dlq.redrive import RedriveRequest

    settings = settings_from(config, flags)
    request = RedriveRequest(Action.DROP, selection, limit=limit)
    if not yes and not dry_run:
        if not sys.stdin.isatty():
            raise ConfigError("nothing is dropped: nobody can be asked here, so say --yes")
        if not _act(settings, request, dry_run=True).done:
            return
        click.confirm("Drop them?", abort=True)
    _act(settings, request, dry_run=dry_run)


def _act(settings: "Settings", request: "RedriveRequest", *, dry_run: bool) -> "RedriveResult":
    """Do it, or show what would be done. Raises WorkerError, also if something could not be handled."""
    from recording_worker.cli.output import progress_bar, standard_output
    from recording_worker.cli.signals import Interruptible
    from recording_worker.clock import SystemClock
    from recording_worker.operations.dlq.redrive import RedriveRun
    from recording_worker.operations.dlq.topics import DlqTopics

    clock = SystemClock()
    topics = DlqTopics(settings, progress_bar, clock.now_ms())
    verb = "would be " if dry_run else ""
    verb += "redriven" if request.action == "redrive" else "dropped"
    run = RedriveRun(settings, topics, request, lambda task: say(_line(verb, task)))
    with standard_output():
        try:
            with Interruptible() as interruptions:
                if dry_run:
                    run.rehearse()
                else:
                    run.run(_who(), clock, interruptions)
        except SystemExit:
            say("stopped: the rest is left for next time")
            raise
        finally:
            for note in topics.notes:
                say(f"note: {note}")
            say(_summary(verb, run.result))
    if run.result.missing:
        raise WorkerError(f"there is no message at {', '.join(map(str, run.result.missing))} of {settings.dlq_topic}")
    if run.result.left and not dry_run:
        raise WorkerError(f"{counted(run.result.left.total(), 'message')} could not be {verb}")
    return run.result


def _line(verb: str, task: "Task") -> str:
    to = ""
    if task.target is not None:
        to = f" to {task.target.topic}"
        to += "" if task.target.partition is None else f"/{task.target.partition}"
        to += "" if task.target.offset is None else f" at {task.target.offset}"
    return f"{verb}: {summary_of(task.letter)}{to}"


def _summary(verb: str, result: "RedriveResult") -> str:
    parts = [f"{counted(result.done, 'message')} {verb}"]
    parts += [f"{number:,} {state} before" for state, number in sorted(result.before.items())]
    parts += [f"{result.copies:,} more of the same messages left out"] if result.copies else []
    parts += [f"{number:,} left: {why}" for why, number in sorted(result.left.items())]
    return "; ".join(parts)


def _who() -> str:
    """Who acts, for the audit: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # the user has no name here, as in many containers
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"
