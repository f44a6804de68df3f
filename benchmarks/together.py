"""Measure what blocks save that hold several messages of a session: `python -m benchmarks.together FILE…`."""

import sys
from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

import click

from benchmarks.contenders.native_core import Poll, polls
from benchmarks.message_sets import load_messages
from recording_worker._native import ByteColumn, Compressor, Decoder, TextColumn
from recording_worker.errors import WorkerError

Sessions = list[list[bytes]]
"""For each session the lines of its messages."""

_COUNTS = (1, 2, 3, 4, 6, 0)
"""Messages of a session in a block; 0: all of them."""


def sessions_of(messages: Sequence[Poll], *, unpack: bool) -> Sessions:
    """Decode all messages, and gather their lines by session."""
    decoder = Decoder(unpack_client_compression=unpack)
    sessions: defaultdict[str, list[bytes]] = defaultdict(list)
    for poll in messages:
        rest = poll
        while rest.values:
            rows = len(rest.values)
            decoded = decoder.decode(
                ByteColumn(rest.values),
                TextColumn(rest.content_encodings),
                TextColumn(rest.session_id_headers),
                TextColumn(rest.distinct_id_headers),
                array("q", rest.timestamps_ms),
                None,
                bytearray(rows),
                reasons := bytearray(rows),
            )
            for row in range(decoded.rows):
                if not reasons[row]:
                    sessions[decoded.session_id(row)].append(decoded.lines(row))
            rest = rest.after(decoded.rows)
    return list(sessions.values())


def blocks_of(sessions: Sessions, count: int) -> Iterator[bytes]:
    """Yield blocks of this many messages of a session each, or fewer at its end."""
    for lines in sessions:
        step = count or len(lines)
        for start in range(0, len(lines), step):
            yield b"".join(lines[start : start + step])


def stored(compressor: Compressor, sessions: Sessions, count: int) -> int:
    """Return the bytes of all blocks, compressed."""
    return sum(len(compressor.compress_lines(block)) for block in blocks_of(sessions, count))


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option(
    "--dictionary", type=click.Path(path_type=Path), help="Also with this zstd dictionary, trained on other sessions."
)
def main(files: tuple[Path, ...], dictionary: Path | None) -> None:
    """Print a table: bytes by how many messages of a session a block holds, of snappy blocks of one message."""
    try:
        messages = polls(load_messages(files)[0])
    except WorkerError as error:
        print(f"together: {error}", file=sys.stderr)
        sys.exit(1)
    snappy = stored(Compressor("snappy"), sessions_of(messages, unpack=False), 1)
    unpacked = sessions_of(messages, unpack=True)
    codecs = {"zstd 1": Compressor("zstd", 1), "zstd 3": Compressor("zstd", 3)}
    if dictionary is not None:
        codecs["zstd 1, with the dictionary"] = Compressor("zstd", 1, dictionary.read_bytes())
    print("| messages of a session in a block | " + " | ".join(codecs) + " |")
    print("|---" * (1 + len(codecs)) + "|")
    for count in _COUNTS:
        shares = (stored(compressor, unpacked, count) / snappy for compressor in codecs.values())
        print(f"| {count or 'all'} | " + " | ".join(f"{share:.3f}" for share in shares) + " |")


if __name__ == "__main__":
    main()
