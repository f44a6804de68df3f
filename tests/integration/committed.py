"""What a read_committed reader finds: records, and through them recorded messages."""

import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import zstandard
from confluent_kafka import Consumer, KafkaError, TopicPartition

METADATA = "clickhouse_session_replay_events"


def committed_records(bootstrap_servers: str, topic: str) -> list[Any]:
    """The messages of a topic of one partition that a read_committed reader sees."""
    client = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "readers",
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    client.assign([TopicPartition(topic, 0, 0)])
    records: list[Any] = []
    while True:
        [record] = client.consume(1, 30)
        error = record.error()
        if error is not None:
            assert error.code() == KafkaError._PARTITION_EOF
            client.close()
            return records
        records.append(record)


def committed_numbers(bootstrap_servers: str, topic: str = METADATA) -> Counter[int]:
    """Message number → how often it is in blocks that committed metadata leads to."""
    numbers: Counter[int] = Counter()
    for record in committed_records(bootstrap_servers, topic):
        url = urlsplit(json.loads(record.value())["block_url"])
        first, last = map(int, url.query.removeprefix("range=bytes=").split("-"))
        block = Path(unquote(url.path)).read_bytes()[first : last + 1]
        lines = zstandard.ZstdDecompressor().decompressobj().decompress(block).splitlines()
        numbers.update(json.loads(line)[1]["data"]["number"] for line in lines)
    return numbers
