"""The sample of real recordings in tests/data, as messages."""

import base64
import io
import json
from functools import cache
from pathlib import Path

import zstandard

from recording_worker.messages import Message

SAMPLE = Path(__file__).parent / "data" / "sample.jsonl.zst"


@cache
def sample_messages() -> tuple[Message, ...]:
    """All messages of the sample, as of one partition: offsets are line numbers from 0."""
    with SAMPLE.open("rb") as file, zstandard.ZstdDecompressor().stream_reader(file) as stream:
        lines = [json.loads(line) for line in io.TextIOWrapper(stream, encoding="utf-8")]
    return tuple(
        Message(
            partition=0,
            offset=offset,
            timestamp_ms=line["timestamp_ms"],
            key=line["partition_key"].encode(),
            value=base64.b64decode(line["value_b64"]),
            headers=[(key, value.encode()) for key, value in line["headers"]],
        )
        for offset, line in enumerate(lines)
    )
