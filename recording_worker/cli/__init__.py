"""The command line: one file for each command, imported when the command is used, so that `--help` is quick."""

import sqlite3
import sys
from importlib import import_module
from io import TextIOWrapper

import click

from recording_worker import __version__
from recording_worker.errors import ConfigError, WorkerError
from recording_worker.extras import missing_extras_named
from recording_worker.redaction import redact

COMMANDS = {
    "run": "Run the service: read recordings from Kafka, write batch files.",
    "check": "Check everything that the service needs, and say what to do.",
    "ingest": "Do the same with files of messages, without Kafka.",
    "produce": "Send files of messages to Kafka.",
    "demo": "Try the service on this machine with made-up traffic.",
    "blocks": "List what batch files hold.",
    "sessions": "List the sessions in batch files, and how well they can be played.",
    "export": "Write one session's events: JSON lines, rrweb, HAR or the console.",
    "play": "Play sessions in a browser: one, or a list to choose from.",
    "serve": "Serve blocks to other players over HTTP, as PostHog's recording API does.",
    "verify": "Check that every message was recorded once and every block can be read.",
    "keys": "Check, create and rotate the key store of encrypted sessions.",
    "delete": "Delete sessions for good, with a certificate.",
    "sweep": "Find and remove batch files that nothing refers to.",
    "dlq": "List, show, redrive or drop messages on the DLQ.",
    "dictionary": "Train a zstd dictionary, which makes batch files smaller.",
    "bench": "Measure what recordings cost on this machine.",
    "profile": "Show what a running worker does, as a flame graph.",
    "rewind": "Set a stopped group's offsets back, to read messages again.",
}
"""What each command does, in the order of the help. `recording_worker.cli.{name}` holds the command."""

EXIT_INTERRUPTED = 130


class _Commands(click.Group):
    """A group that imports a command's module only when the command is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        import_module("recording_worker.logs.lean_structlog")  # `--help` does not log
        command = getattr(import_module(f"{__name__}.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, prog_name="recording-worker")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Read session recordings (rrweb events) from Kafka and write them to storage as batch files.

    \b
    A first look, on this machine alone:
      recording-worker demo
    \b
    Each command explains itself:
      recording-worker run --help
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())  # noqa: TID251 - our own words


def main() -> None:
    """Run the command `recording-worker` and exit. If something is wrong, say so in one line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # the locale may lack a character
    sys.exit(_exit_code())


def _exit_code() -> int:
    try:
        with missing_extras_named():
            return cli.main(prog_name="recording-worker", standalone_mode=False) or 0
    except click.Abort:  # Ctrl-C
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        hint = f" (see '{error.ctx.command_path} --help')" if isinstance(error, click.UsageError) and error.ctx else ""
        _print_error(error.format_message() + hint)
        return ConfigError.exit_code
    except WorkerError as error:
        _print_error(str(error))
        return error.exit_code
    except sqlite3.OperationalError as error:
        _print_error(f"can't write to a temporary database ({error}): set TMPDIR to a folder with room")
        return WorkerError.exit_code
    except OSError as error:  # no folder for temporary files, a system that is read only, a full disk
        _print_error(": ".join(str(part) for part in (error.filename, error.strerror or error) if part is not None))
        return WorkerError.exit_code


def _print_error(text: str) -> None:
    """Print one line on standard error for each problem, as the log is written."""
    from recording_worker.cli.options import say_or_log  # `--help` needs none of it

    for line in redact(text).split("\n"):
        say_or_log("error", line)
