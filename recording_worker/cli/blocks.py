"""`recording-worker blocks`: lists what batch files hold."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import click
from rich import filesize
from rich.table import Table
from rich.text import Text

from recording_worker.cli.output import standard_output
from recording_worker.cli.say import json_text
from recording_worker.cli.scanning import Paths, Scan, paths_argument
from recording_worker.cli.tables import length_text, plain_table, table_console, time_text
from recording_worker.formats.timestamps import utc_text
from recording_worker.reading.batch_files import Block
from recording_worker.text import counted, printable


@click.command(
    epilog="""\b
Examples:
  recording-worker blocks /var/lib/recordings/blocks
  recording-worker blocks s3://recordings/blocks --json"""
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, one for each block, instead of tables.")
@paths_argument
def blocks(paths: Paths, as_json: bool) -> None:
    """List the blocks of batch files.

    Reads only the index at the end of each file. Needs no Kafka and no database. A PATH is a batch file,
    a folder of batch files, or s3://BUCKET/PREFIX.
    """
    scan = Scan(paths)
    with standard_output():
        if as_json:
            _write_json(scan.blocks())
        else:
            _print_tables(scan.blocks())
    scan.raise_problems()


def _write_json(files: Iterable[list[Block]]) -> None:
    for found in files:
        sys.stdout.buffer.writelines(map(_json, found))


def _print_tables(files: Iterable[list[Block]]) -> None:
    console = table_console()
    totals = _Totals()
    for found in files:
        totals.add(found)
        if found:
            console.print(_table(found))
    console.print(str(totals))


def _json(block: Block) -> bytes:
    """Return a block as a line of JSON: about its file, and its entry in the file's index.

    Messages are counted, not listed. Sizes and ranges are in bytes, timestamps in milliseconds since 1970.
    """
    index, entry = block.index, block.entry
    listing = {
        "file": block.file.name,
        "batch_id": index.batch_id,
        "codec": index.codec,
        "retention": index.retention,
        "created_ms": index.created_ms,
        "team_id": entry.team_id,
        "session_id": entry.session_id,
        "distinct_id": entry.distinct_id,
        "source": entry.source,
        "partition": entry.partition,
        "first_offset": entry.first_offset,
        "last_offset": entry.last_offset,
        "messages": len(entry.messages),
        "events": entry.events,
        "first_timestamp": entry.first_timestamp,
        "last_timestamp": entry.last_timestamp,
        "has_full_snapshot": entry.has_full_snapshot,
        "first_full_snapshot_position": entry.first_full_snapshot_position,
        "first_full_snapshot_timestamp": entry.first_full_snapshot_timestamp,
        "out_of_order_count": entry.out_of_order_count,
        "gap_count": entry.gap_count,
        "snapshot_source": entry.snapshot_source,
        "encryption": entry.encryption,
        "size": entry.size,
        "start": entry.start,
        "length": entry.length,
    }
    return json_text(listing)


def _table(blocks: Sequence[Block]) -> Table:
    """Return the blocks of one file, at least one, as a table that fits a terminal. The JSON has all fields."""
    table = plain_table()
    table.title = _title(blocks)
    table.add_column("session", overflow="fold", min_width=8)
    for name in ("team", "events", "size", "stored"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("first event (UTC)", min_width=10)
    table.add_column("length", justify="right", no_wrap=True)
    table.add_column("snapshot", no_wrap=True)
    for entry in (block.entry for block in blocks):
        table.add_row(
            Text(printable(entry.session_id)),
            str(entry.team_id),
            f"{entry.events:,}",
            filesize.decimal(entry.size),
            filesize.decimal(entry.length),
            time_text(entry.first_timestamp),
            length_text(entry.last_timestamp - entry.first_timestamp),
            "full" if entry.has_full_snapshot else "none",
        )
    return table


def _title(blocks: Sequence[Block]) -> Text:
    """Return the file's name, what is known about the file, and its range of offsets for each source."""
    file, index = blocks[0].file, blocks[0].index
    ranges: dict[str, tuple[int, int]] = {}
    for entry in (block.entry for block in blocks):
        first, last = ranges.get(entry.source, (entry.first_offset, entry.last_offset))
        ranges[entry.source] = min(first, entry.first_offset), max(last, entry.last_offset)
    sources = ", ".join(f"{printable(source)} {first}-{last}" for source, (first, last) in ranges.items())
    kept = f"{counted(len(blocks), 'block')} kept {printable(index.retention)}"
    flushed = f"flushed {utc_text(index.created_ms)} UTC"
    title = Text(printable(file.name), style="bold")
    return title.append(f"\n{kept}, {flushed}, from {sources}", style="not bold")


@dataclass(slots=True)
class _Totals:
    """Adds up what several files hold."""

    files: int = 0
    blocks: int = 0
    events: int = 0
    size: int = 0
    stored: int = 0
    sessions: set[tuple[int, str]] = field(default_factory=set)

    def add(self, blocks: Sequence[Block]) -> None:
        """Add the blocks of one file."""
        self.files += 1
        self.blocks += len(blocks)
        for entry in (block.entry for block in blocks):
            self.events += entry.events
            self.size += entry.size
            self.stored += entry.length
            self.sessions.add((entry.team_id, entry.session_id))

    def __str__(self) -> str:
        return (
            f"{counted(self.files, 'file')}, {counted(self.blocks, 'block')}, "
            f"{counted(len(self.sessions), 'session')}, {counted(self.events, 'event')}, "
            f"{filesize.decimal(self.size)} of lines, {filesize.decimal(self.stored)} stored"
        )
