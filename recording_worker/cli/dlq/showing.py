"""`recording-worker dlq show`: shows one message on the DLQ."""

import base64
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recording_worker.cli.dlq.selecting import DLQ_SETTINGS, parse_place
from recording_worker.cli.options import settings_from, settings_options
from recording_worker.cli.say import json_text, say
from recording_worker.errors import ConfigError, WorkerError
from recording_worker.formats.timestamps import utc_text
from recording_worker.operations.dlq.dead_letter import DeadLetter, Place, Selection
from recording_worker.operations.dlq.listing import Entry
from recording_worker.private_file import write_private

if TYPE_CHECKING:
    from recording_worker.operations.dlq.audit import AuditRecord
    from recording_worker.operations.dlq.value import Unpacked

_HEX_BYTES = 64


@click.command(
    "show",
    short_help="One message.",
    epilog="""\b
Examples:
  recording-worker dlq show 0:123
  recording-worker dlq show 0:123 --value-to message.bin

\b
Exit codes: 0 done, 1 the value can't be written, 2 wrong settings, or no such message,
3 the brokers can't be asked.""",
)
@settings_options((*DLQ_SETTINGS, "max_decompressed_bytes"))
@click.argument("place", metavar="PLACE", type=parse_place)
@click.option(
    "--value-to",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the unchanged value to this file.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
def show(place: Place, value_to: Path | None, as_json: bool, config: Path | None, **flags: Any) -> None:
    """Show the message at PLACE, which is PARTITION:OFFSET of the DLQ topic, as `dlq list` shows it: why it is there,
    what was done about it, its headers, and its value, decompressed and with its JSON laid out.

    If the value is not text, its first bytes are shown; --value-to writes it to a file.
    """
    settings = settings_from(config, flags)
    from recording_worker.cli.output import standard_output
    from recording_worker.cli.signals import signals_end
    from recording_worker.clock import SystemClock
    from recording_worker.operations.dlq.topics import DlqTopics
    from recording_worker.operations.dlq.value import unpack
    from recording_worker.progress import no_progress

    topics = DlqTopics(settings, no_progress, SystemClock().now_ms())
    with signals_end(), closing(topics.audit_log()) as log:
        letter = next(topics.dead_letters(Selection(places=frozenset({place}))), None)
        if letter is None:
            raise ConfigError(f"there is no message at {place} of {settings.dlq_topic}")
        entry = Entry.of(letter, log.state_of(letter), log.record_of(letter))
    encoding = letter.header("content-encoding") if letter.has_header("content-encoding") else None
    value = None if letter.value is None else unpack(letter.value, encoding, settings.max_decompressed_bytes)
    if value_to is not None:
        _write(letter.value or b"", value_to)
    with standard_output():
        if as_json:
            sys.stdout.buffer.write(_json(entry, letter, value))
        else:
            _print(entry, letter, value)


def _write(value: bytes, path: Path) -> None:
    try:
        write_private(path, [value])
    except OSError as error:
        raise WorkerError(f"can't write {path}: {error.strerror}") from error


def _json(entry: Entry, letter: DeadLetter, value: "Unpacked | None") -> bytes:
    text = None if value is None else value.text
    figures = {
        **entry.json(),
        "key": _escaped(letter.key),
        "headers": [[name, _escaped(content)] for name, content in letter.headers],
        "encoding": None if value is None else value.encoding,
        "value": None if text is None else text.encode(errors="backslashreplace").decode(),
        "value_b64": None if letter.value is None or text is not None else base64.b64encode(letter.value).decode(),
        "problem": None if value is None else value.problem or None,
    }
    return json_text(figures, indent=True)


def _print(entry: Entry, letter: DeadLetter, value: "Unpacked | None") -> None:
    source = letter.source
    came = "" if source is None or source.timestamp_ms < 0 else f", sent {utc_text(source.timestamp_ms)} UTC"
    facts = {
        "place": f"{letter.place}, sent there {utc_text(letter.timestamp_ms)} UTC",
        "state": str(entry.state) if entry.record is None else _deed(entry.record),
        "reason": letter.reason,
        "step": letter.step,
        "error": letter.error,
        "from": "" if source is None else f"{source}{came}",
        "key": _escaped(letter.key) or "",
    }
    for name, fact in facts.items():
        say(f"{name:7} {fact or '-'}")
    say("headers")
    for name, content in letter.headers:
        text = _escaped(content)
        say(f"  {name} (null)" if text is None else f"  {name}: {text}")
    _print_value(letter.value, value)


def _escaped(content: bytes | None) -> str | None:
    return None if content is None else content.decode(errors="backslashreplace")


def _deed(record: "AuditRecord") -> str:
    to = "" if record.to_topic is None else f" to {record.to_topic}/{record.to_partition} at {record.to_offset}"
    letter = f"{record.dlq_partition}:{record.dlq_offset}"
    return f"{record.state}{to} {utc_text(record.at_ms)} UTC by {record.by} (as {letter})"


def _print_value(raw: bytes | None, value: "Unpacked | None") -> None:
    if raw is None or value is None:
        say("value   none")
        return
    unpacked = "" if value.content is None or value.encoding == "plain" else f", unpacked {len(value.content):,}"
    say(f"value   {len(raw):,} bytes, {value.encoding}{unpacked}")
    text = value.text
    if text is None:
        why = value.problem or "it is not text"
        say(f"  {why}; --value-to FILE writes it to a file. It begins with")
        say(f"  {raw[:_HEX_BYTES].hex(' ')}")
    else:
        for line in text.splitlines():
            say(line)
