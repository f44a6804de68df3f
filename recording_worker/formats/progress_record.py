"""The record of a flush that says up to where its partitions are recorded."""

from collections.abc import Mapping

import orjson

from recording_worker.messages import OutputRecord


def progress_record(
    to: str, *, topic: str, group: str, batch_id: str, partitions: Mapping[int, tuple[int, int | None]]
) -> OutputRecord:
    """Return the record for the topic `to`; see docs/data/metadata.md.

    `partitions`: partition of the source topic → the next offset to read, and the second since 1970 in which Kafka got
    the latest message before it; None if no message says it.
    """
    value = {
        "topic": topic,
        "group": group,
        "batch_id": batch_id,
        "partitions": {
            str(number): {"next_offset": offset, "recorded_until": until}
            for number, (offset, until) in sorted(partitions.items())
        },
    }
    return OutputRecord(to, f"{group}/{topic}".encode(), orjson.dumps(value), [], 0)
