"""What batch files hold, as JSON and as tables for people."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import orjson
from rich import box, filesize
from rich.table import Table
from rich.text import Text

from recording_worker.formats.timestamps import utc_text
from recording_worker.reading.batch_files import Block
from recording_worker.text import counted, printable


def block_json(block: Block) -> bytes:
    """One block as a line of JSON: its file's index and its own entry, messages counted and not listed.

    Byte counts and ranges in bytes, timestamps in milliseconds since 1970.
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
        "size": entry.size,
        "start": entry.start,
        "length": entry.length,
    }
    return orjson.dumps(listing, option=orjson.OPT_APPEND_NEWLINE)


def file_table(blocks: Sequence[Block]) -> Table:
    """The blocks of one file, at least one, as a table that fits a terminal; all there is to know is in the JSON."""
    table = Table(
        title=_title(blocks),
        title_justify="left",
        title_style="",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
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
            utc_text(entry.first_timestamp).partition(".")[0],
            str(timedelta(seconds=int(entry.last_timestamp - entry.first_timestamp) // 1000)),
            "full" if entry.has_full_snapshot else "none",
        )
    return table


def _title(blocks: Sequence[Block]) -> Text:
    """The file's name, what it is, and the range of offsets it has of each source."""
    file, index = blocks[0].file, blocks[0].index
    ranges: dict[str, tuple[int, int]] = {}
    for entry in (block.entry for block in blocks):
        first, last = ranges.get(entry.source, (entry.first_offset, entry.last_offset))
        ranges[entry.source] = min(first, entry.first_offset), max(last, entry.last_offset)
    sources = ", ".join(f"{printable(source)} {first}-{last}" for source, (first, last) in ranges.items())
    flushed = f"flushed {utc_text(index.created_ms)} UTC"
    title = Text(printable(file.name), style="bold")
    return title.append(
        f"\n{counted(len(blocks), 'block')} kept {index.retention}, {flushed}, from {sources}", style="not bold"
    )


@dataclass(slots=True)
class Totals:
    """What several files hold, added up."""

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
