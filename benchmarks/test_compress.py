"""What a flush does with the blocks before they are stored. MB/s count the uncompressed lines."""

import pytest

from benchmarks.conftest import Measure
from benchmarks.inputs import check_blocks, columns, real, record
from recording_worker._native import Compressor, Decoder, SessionBlock
from recording_worker.recording.compression import compress_all


@pytest.fixture(scope="module")
def blocks() -> list[SessionBlock]:
    return record(columns(real()).decode(Decoder()))


@pytest.mark.parametrize(("codec", "level"), [("zstd", -5), ("zstd", 1), ("zstd", 3), ("zstd", 6), ("snappy", 0)])
def test_compress(measure: Measure, blocks: list[SessionBlock], codec: str, level: int) -> None:
    """Compress each block by itself, by codec and level."""
    compressor = Compressor(codec, level)
    size = sum(block.size for block in blocks)
    measure(lambda: list(compress_all(compressor, list(blocks))), size, lambda parts: check_blocks(parts, size))
