"""TopicFiles: writes the records that would go to Kafka to files of JSON lines."""

import base64
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

import orjson

from recording_worker.errors import FlushError
from recording_worker.messages import OutputRecord
from recording_worker.recording.flush import FlushedBatch


class TopicFiles:
    """A delivery that appends each record to `{topic}.jsonl` in a folder.

    A line is `{"key": str | null, "headers": [[str, str | null], …], "value": … , "value_b64": str | null}`:
    `value` is JSON made here, `value_b64` the bytes of an input message passed on unchanged. Bytes that are not UTF-8
    become U+FFFD in `key` and `headers`.
    """

    def __init__(self, folder: Path, metadata_topic: str) -> None:
        self._folder = folder
        self._metadata_topic = metadata_topic
        self._files: dict[str, BinaryIO] = {}
        self.sessions: set[tuple[int, str]] = set()
        """(team id, session id) from all block metadata."""
        folder.mkdir()

    def deliver(self, flushed: FlushedBatch) -> Collection[int]:
        for record in flushed.records:
            self._append(record.topic, _line(record))
            if record.topic == self._metadata_topic and record.value is not None and not record.as_it_came:
                metadata = orjson.loads(record.value)
                self.sessions.add((metadata["team_id"], metadata["session_id"]))
        return flushed.partitions

    def close(self) -> None:
        """Write the buffered lines and close the files."""
        try:
            for file in self._files.values():
                file.close()
        except OSError as error:
            raise FlushError(f"can't write topics: {error.strerror}") from error

    def _append(self, topic: str, line: bytes) -> None:
        try:
            if topic not in self._files:
                self._files[topic] = (self._folder / f"{topic}.jsonl").open("ab")
            self._files[topic].write(line)
        except OSError as error:
            raise FlushError(f"can't write topic {topic}: {error.strerror}") from error


def _line(record: OutputRecord) -> bytes:
    value: object = None
    value_b64 = None
    if record.value is not None and record.as_it_came:
        value_b64 = base64.b64encode(record.value).decode()
    elif record.value is not None:
        value = orjson.Fragment(record.value)
    line = {
        "key": _text(record.key),
        "headers": [[key, _text(text)] for key, text in record.headers],
        "value": value,
        "value_b64": value_b64,
    }
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)


def _text(raw: bytes | None) -> str | None:
    return None if raw is None else raw.decode(errors="replace")
