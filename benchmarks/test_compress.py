"""What a flush does with the blocks before they are stored. MB/s count the uncompressed lines."""

import pytest

from benchmarks.conftest import Measure
from benchmarks.inputs import check_blocks, columns, real, record
from recording_worker._native import Decoder, LineBuffer, SessionBlock, gather
from recording_worker.recording.compression import block_compressor
from recording_worker.settings.model import Codec


@pytest.fixture(scope="module")
def blocks() -> list[SessionBlock]:
    return record(columns(real()).decode(Decoder()))


def raw_bytes(blocks: list[SessionBlock]) -> int:
    return sum(block.size for block in blocks)


def test_gather(measure: Measure, blocks: list[SessionBlock]) -> None:
    """Copy the lines of all blocks into one buffer."""
    size = raw_bytes(blocks)

    def check(lines: LineBuffer) -> None:
        assert len(lines) == size

    measure(lambda: gather(blocks), size, check)


@pytest.mark.parametrize("level", [-5, 1, 3, 6])
def test_gather_and_zstd(measure: Measure, blocks: list[SessionBlock], level: int) -> None:
    """Gather, then compress each block into a zstd frame, by level."""
    compressor = block_compressor(Codec.ZSTD, level)
    size = raw_bytes(blocks)
    measure(lambda: list(compressor.compress(gather(blocks))), size, lambda parts: check_blocks(parts, size))


def test_gather_and_snappy(measure: Measure, blocks: list[SessionBlock]) -> None:
    """Gather, then compress each block with raw snappy."""
    compressor = block_compressor(Codec.SNAPPY, 0)
    size = raw_bytes(blocks)
    measure(lambda: list(compressor.compress(gather(blocks))), size, lambda parts: check_blocks(parts, size))
