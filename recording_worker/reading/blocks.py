"""What batch files hold, as JSON and as tables for people."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import orjson
from rich.table import Table
from rich.text import Text

from recording_worker.reading.index import Block
from recording_worker.recording.timestamps import utc_text


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
        "size": entry.size,
        "start": entry.start,
        "length": entry.length,
    }
    return orjson.dumps(listing, option=orjson.OPT_APPEND_NEWLINE)


def file_table(blocks: Sequence[Block]) -> Table:
    """The blocks of one file, at least one, as a table."""
    file, index = blocks[0].file, blocks[0].index
    title = f"{printable(file.name)}\n{index.retention}, flushed {utc_text(index.created_ms)} UTC, {len(blocks)} blocks"
    table = Table(title=Text(title), title_justify="left", title_style="bold")
    for name in ("session", "source"):
        table.add_column(name, overflow="fold")
    for name in ("team", "offsets", "messages", "events", "bytes", "stored"):
        table.add_column(name, justify="right")
    for name in ("first event (UTC)", "last event (UTC)", "full snapshot"):
        table.add_column(name)
    for entry in (block.entry for block in blocks):
        table.add_row(
            Text(printable(entry.session_id)),
            Text(printable(entry.source)),
            str(entry.team_id),
            f"{entry.first_offset}-{entry.last_offset}",
            f"{len(entry.messages):,}",
            f"{entry.events:,}",
            f"{entry.size:,}",
            f"{entry.length:,}",
            utc_text(entry.first_timestamp),
            utc_text(entry.last_timestamp),
            "yes" if entry.has_full_snapshot else "no",
        )
    return table


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
            f"{self.files:,} files, {self.blocks:,} blocks, {len(self.sessions):,} sessions, {self.events:,} events, "
            f"{self.size:,} bytes of lines, {self.stored:,} stored"
        )


def printable(text: str) -> str:
    """Text from outside, safe on a terminal: what is not printable is escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
