"""What commands print, safe on a terminal: ids, names and errors come from outside, and may hold its control codes."""

import json
import re

import click
import orjson

from recording_worker.errors import ConfigError
from recording_worker.text import printable

_CONTROL = re.compile(rb"\x7f|\xc2[\x80-\x9f]")
"""The control characters that JSON may hold unescaped, in UTF-8."""


def say(line: str, *, err: bool = False) -> None:
    """Print one line on standard output, or on standard error. What is not printable in it is escaped."""
    click.echo(printable(line), err=err)


def demand_command(ctx: click.Context) -> None:
    """Show a group's help on standard error, and end as click does, if the command line names none of its commands."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)  # our own words
        ctx.exit(ConfigError.exit_code)


def json_text(value: object, *, indent: bool = False) -> bytes:
    """Return a value as JSON with a line break at its end: one line, or laid out. Control characters are escaped.

    Names of files may not be UTF-8. If one is not, all of the text is ASCII, and its odd bytes are lone surrogates.
    """
    try:
        text = orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if indent else 0))
    except orjson.JSONEncodeError:
        text = (json.dumps(value, indent=2 if indent else None) + "\n").encode()
    return _CONTROL.sub(lambda found: b"\\u00%02x" % found[0][-1], text)
