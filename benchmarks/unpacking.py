"""Measure what unpacking costs and saves: `python -m benchmarks.unpacking FILE…`, see docs/change/benchmarks.md."""

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.contenders.native_core import NativePass, Poll, polls
from benchmarks.contenders.process import stay_on_one_core
from benchmarks.inputs import check_blocks
from benchmarks.message_sets import load_messages
from recording_worker._native import Compressor, Decoder
from recording_worker.errors import WorkerError
from recording_worker.recording.compression import compress_all


class PackedPass(NativePass):
    """A pass that leaves what the client packed unchanged."""

    decoder = Decoder(unpack_client_compression=False)


class UnpackingPass(NativePass):
    """A pass that unpacks what the client packed."""

    decoder = Decoder(unpack_client_compression=True)


def one_pass(kind: type[NativePass], messages: list[Poll], compressor: Compressor) -> tuple[float, float, int]:
    """Return the CPU seconds of decode + record and of compression, and the bytes of all blocks."""
    started = time.process_time()
    file = kind(messages).file
    recorded = time.process_time()
    blocks = file.session_blocks()
    raw_bytes = sum(block.size for block in blocks)
    parts = list(compress_all(compressor, blocks))  # a part is compressed when it is taken
    compressed = time.process_time()
    check_blocks(parts, raw_bytes)
    return recorded - started, compressed - recorded, sum(map(len, parts))


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option("--levels", default="1,2,3,4,5,6,7,9", show_default=True, help="zstd levels.")
@click.option("--runs", type=click.IntRange(min=1), default=7, show_default=True, help="Rounds to take medians of.")
def main(files: tuple[Path, ...], levels: str, runs: int) -> None:
    """Print a table: per codec and level, packed and unpacked, bytes and CPU seconds on one core."""
    try:
        messages = polls(load_messages(files)[0])
    except WorkerError as error:
        print(f"unpacking: {error}", file=sys.stderr)
        sys.exit(1)
    stay_on_one_core()
    print(
        "| codec | unpacked | MB stored | of snappy's | CPU s: decode + record | compress | sum | of not unpacking's |"
    )
    print("|---|---|---|---|---|---|---|---|")
    snappy = show("snappy", "no", medians(messages, Compressor("snappy"), runs, PackedPass)[0])
    for level in map(int, levels.split(",")):
        packed, unpacked = medians(messages, Compressor("zstd", level), runs, PackedPass, UnpackingPass)
        show(f"zstd {level}", "no", packed, snappy[2])
        show(f"zstd {level}", "yes", unpacked, snappy[2], packed[0] + packed[1])


Figures = tuple[float, float, int]


def medians(messages: list[Poll], compressor: Compressor, runs: int, *kinds: type[NativePass]) -> list[Figures]:
    """Return the medians of each kind of pass. The kinds take turns, after one round to warm up."""
    rounds = [[one_pass(kind, messages, compressor) for kind in kinds] for _ in range(runs + 1)][1:]
    return [median_of(passes) for passes in zip(*rounds, strict=True)]


def median_of(passes: Sequence[Figures]) -> Figures:
    decode, compress = (statistics.median(figures[i] for figures in passes) for i in (0, 1))
    return decode, compress, passes[0][2]


def show(codec: str, unpacked: str, figures: Figures, snappy: int = 0, seconds: float = 0) -> Figures:
    decode, compress, size = figures
    of_snappy = f"{size / snappy:.3f}" if snappy else ""
    times = f"{(decode + compress) / seconds:.2f}" if seconds else ""
    sizes = f"{size / 1e6:.2f} | {of_snappy}"
    print(f"| {codec} | {unpacked} | {sizes} | {decode:.3f} | {compress:.3f} | {decode + compress:.3f} | {times} |")
    return figures


if __name__ == "__main__":
    main()
