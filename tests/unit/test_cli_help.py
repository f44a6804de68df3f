"""What `--help` says of each command and option."""

import re
from collections.abc import Iterator

import click
import pytest

from recording_worker.cli import COMMANDS, cli
from recording_worker.settings.load import flag_of


def commands(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Context]]:
    """Each command below the group, and below its groups, by its path."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        inner = click.Context(command, context, info_name=name)
        yield inner.command_path, inner
        if isinstance(command, click.Group):
            yield from commands(command, inner)


assert isinstance(cli, click.Group)
CONTEXTS = dict(commands(cli, click.Context(cli, info_name="recording-worker", terminal_width=200)))

each_command = pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)


def test_all_commands_are_looked_at() -> None:
    assert {path.split()[1] for path in CONTEXTS} == COMMANDS.keys()
    assert "recording-worker dlq redrive" in CONTEXTS


@each_command
def test_every_option_says_what_it_does_and_what_it_takes(context: click.Context) -> None:
    for option in context.command.get_params(context):
        if isinstance(option, click.Option):
            assert option.help, option.name
            assert option.help.rstrip().endswith((".", ")", "]")), option.name
            metavar = option.make_metavar(context)
            assert not re.search(r"\b(FLOAT|INTEGER|RANGE)\b", metavar), (option.name, metavar)


@each_command
def test_every_duration_has_a_default_with_a_unit(context: click.Context) -> None:
    for option in context.command.get_params(context):
        if isinstance(option, click.Option) and option.metavar == "DURATION":
            record = option.get_help_record(context)
            assert record is not None
            for default in re.findall(r"\[default: (.*?)\]", record[1]):
                assert re.fullmatch(r"\d+(ms|s|m|h|d)", default), option.name


def help_of(path: str, option: str) -> str:
    command = CONTEXTS[path].command
    [found] = [parameter for parameter in command.params if option in parameter.opts]
    assert isinstance(found, click.Option)
    return found.help or ""


def test_run_shows_the_defaults_of_settings_that_have_one() -> None:
    shown = {
        name: re.findall(r"\[default: (.*)\]$", help_of("recording-worker run", flag_of(name)))
        for name in (
            "max_batch_age",
            "max_batch_bytes",
            "max_decompressed_bytes",
            "lag_shed_share",
            "topic",
            "any_token",
            "teams",
            "workers",
        )
    }
    assert shown == {
        "max_batch_age": ["10s"],
        "max_batch_bytes": [],
        "max_decompressed_bytes": ["64MiB"],
        "lag_shed_share": ["1"],
        "topic": ["session_recording_snapshot_item_events"],
        "any_token": [],
        "teams": [],
        "workers": [],
    }


def test_produce_sends_to_its_topic() -> None:
    assert help_of("recording-worker produce", "--topic").startswith("Topic to send to.")
    assert help_of("recording-worker run", "--topic").startswith("Topic of the recordings.")
