"""Options made from the settings, so that each setting's name, meaning and default are written once."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin

import click
import structlog
from pydantic import BeforeValidator, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from recording_worker.cli.say import say
from recording_worker.errors import ConfigError
from recording_worker.logs.setup import configure_logs, logs_are_json
from recording_worker.redaction import hide
from recording_worker.settings.choices import LogLevel
from recording_worker.settings.load import (
    CONFIG_VARIABLE,
    ENV_PREFIX,
    Given,
    flag_of,
    gather,
    is_true,
    settings_of,
    unknown_variables,
    variable_of,
)
from recording_worker.settings.model import Settings
from recording_worker.settings.secrets import secrets_of
from recording_worker.settings.units import DURATION, SIZE, unit_of, value_text

Command = TypeVar("Command", bound=Callable[..., Any])

SETTINGS_HELP = f"""\b
Each of these settings is also an environment variable and a key of the TOML file:
  --max-batch-bytes 64MiB    {ENV_PREFIX}MAX_BATCH_BYTES=64MiB    max_batch_bytes = "64MiB"
A flag beats the environment, which beats the file.
SIZE is in bytes, or has a unit: 512KiB, 64MiB.
DURATION has a unit: 500ms, 10s, 5m, 24h, 7d. Without a unit it is in seconds."""

KEY_SETTINGS = (
    "key_store",
    "keys_postgres",
    "keys_master_file",
    "keys_table",
    "keys_kms_key",
    "keys_region",
    "keys_endpoint",
)
"""The settings that a command needs to find the keys of encrypted sessions."""

S3_SETTINGS = ("s3_endpoint", "s3_region", "s3_addressing")
"""The settings that a command needs to read from S3."""

MESSAGE_FILES_HELP = """\b
A file of messages is JSON lines, plain or zstd. Each line is a message:
  {"partition_key": "…", "timestamp_ms": 1795461715292, "headers": [["token", "…"], …], "value_b64": "…"}"""


def _regular_files(_ctx: click.Context, _parameter: click.Parameter, paths: tuple[Path, ...]) -> tuple[Path, ...]:
    """Refuse pipes: they can't be read twice, and have no size for the progress bar."""
    for path in paths:
        if not path.is_file():
            raise click.BadParameter(f"'{path}' is not a regular file.")
    return paths


message_files = click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    callback=_regular_files,
)
"""The argument FILE…: message files that exist."""

_METAVARS = {int: "N", float: "NUMBER", Path: "FILE", str: "TEXT", SecretStr: "URL"}
_UNIT_METAVARS: dict[BeforeValidator | None, str] = {SIZE: "SIZE", DURATION: "DURATION"}


def settings_options(names: Iterable[str], **meanings: str) -> Callable[[Command], Command]:
    """Give a command `--config` and an option for each named setting. An option has no value if the user gives none.

    `meanings` replaces a setting's description where the command uses the setting in its own way.
    """

    def decorate(command: Command) -> Command:
        for name in reversed(list(names)):
            field = Settings.model_fields[name]
            command = _option(name, field, meanings.get(name, field.description or ""))(command)
        return click.option(
            "--config",
            type=click.Path(path_type=Path),
            envvar=CONFIG_VARIABLE,
            metavar="FILE",
            help="TOML file of settings; its tables [kafka], [kafka_consumer], [kafka_producer] and [kafka_outputs]"
            " take any librdkafka property.",
        )(command)

    return decorate


def settings_from(config: Path | None, flags: Mapping[str, Any]) -> Settings:
    """Load the settings from the options, the environment and the file, and set up the logs as they say.

    Warn of variables that are no settings. Raises ConfigError.
    """
    settings = checked_settings(given_settings(config, flags))
    start_logs(settings)
    return settings


def check_folder_of(path: Path, option: str) -> None:
    """Find out whether a file can be there, before the work whose result goes there. Raises ConfigError."""
    folder = path.absolute().parent
    if not folder.is_dir():
        raise ConfigError(f"{option} {path}: there is no folder {path.parent}")
    if not os.access(folder, os.W_OK):
        raise ConfigError(f"{option} {path}: can't write to the folder {path.parent}")


def given_settings(config: Path | None, flags: Mapping[str, Any]) -> Given:
    """Collect the settings from the options, the environment and the file."""
    return gather({name: value for name, value in flags.items() if value is not None}, config)


def checked_settings(given: Given) -> Settings:
    """Check the settings. Raises ConfigError, after setting up the logs as JSON if that was asked for."""
    try:
        return settings_of(given)
    except ConfigError:
        if is_true(given.values.get("log_json")):
            configure_logs(LogLevel.INFO, as_json=True)
        raise


def start_logs(settings: Settings) -> None:
    """Set up the logs as the settings say, and hide the secrets from all that is printed or logged.

    Warn of variables that are no settings.
    """
    hide(secrets_of(settings))
    configure_logs(settings.log_level, as_json=settings.log_json)
    for line in unknown_variables(os.environ):
        say_or_log("warning", line)


def say_or_log(level: str, line: str) -> None:
    """Print an error or a warning on standard error. If the log is JSON, it is a line of the log.

    An error is what ends the command, and so is critical.
    """
    if not logs_are_json() and _asks_for_json():  # the settings could not be read
        configure_logs(LogLevel.INFO, as_json=True)
    if logs_are_json():
        log = structlog.get_logger()
        (log.critical if level == "error" else log.warning)(line)
    else:
        say(f"recording-worker: {level}: {line}", err=True)


def _asks_for_json() -> bool:
    """Return whether the flags or the environment ask for it, as far as they can be understood without settings."""
    asked = os.environ.get(variable_of("log_json")) if "--no-log-json" not in sys.argv else None
    return flag_of("log_json") in sys.argv or is_true(asked)


def restrict_files(settings: Settings) -> None:
    """Let no file that this process or its workers write have more rights than the settings say."""
    os.umask(os.umask(settings.umask) | settings.umask)


_SECTIONS = {
    "bootstrap_servers": "Kafka",
    "teams": "Teams and restrictions",
    "max_decompressed_bytes": "What is accepted",
    "storage_dir": "Session batches and storage",
    "cpus": "Processes",
    "serve_host": "The API of serve",
}
"""Each section of the help begins at this setting."""


class SettingsCommand(click.Command):
    """A command that takes all settings. Its help lists its many options in sections."""

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


def _option(name: str, field: FieldInfo, meaning: str) -> Callable[[Command], Command]:
    flag = flag_of(name)
    text = f"{meaning}{_shown_default(field)}"
    kind = _plain_type(field.annotation)
    if kind is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=None, help=text)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        choice = click.Choice([member.value for member in kind], case_sensitive=False)
        return click.option(flag, name, type=choice, default=None, help=text)
    metavar = _UNIT_METAVARS.get(unit_of(field)) or ("DIR" if name.endswith("_dir") else _METAVARS[kind])
    return click.option(flag, name, type=str, default=None, metavar=metavar, help=text)


def _plain_type(annotation: Any) -> Any:
    """Return the type that a setting has if it is set: `int` for `Annotated[int, …] | None`."""
    if get_origin(annotation) is UnionType or type(None) in get_args(annotation):
        annotation = next(part for part in get_args(annotation) if part is not type(None))
    return get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation


def _shown_default(field: FieldInfo) -> str:
    default = field.default
    if default is None or default is False or default is PydanticUndefined:
        return ""
    return f"  [default: {value_text(field, default)}]"
