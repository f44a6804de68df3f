"""The ledger finds what is lost, doubled or wrong: a suite that finds nothing is worth what its counting is worth."""

import json
import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zstandard
from confluent_kafka import Producer
from nacl.secret import SecretBox

from tests.faults import messages
from tests.faults.ledger import Ledger
from tests.faults.load import Sent
from tests.faults.messages import NUMBER_HEADER, Fate
from tests.servers.fixtures import NewTopic
from tests.servers.kafka import KafkaServer

SECONDS = 20.0
TEAM, SESSION = 2, "session-1"


class Outputs:
    """Writes what a worker would."""

    def __init__(self, kafka: KafkaServer, new_topic: NewTopic, folder: Path, **given: Any) -> None:
        """`given`: to the ledger."""
        self.metadata, self.dlq, self.overflow = (new_topic(2) for _ in range(3))
        self.ledger = Ledger(kafka.bootstrap_servers, self.metadata, self.dlq, self.overflow, **given)
        self._folder = folder
        self._producer = Producer(
            {"bootstrap.servers": kafka.bootstrap_servers, "transactional.id": self.metadata, "log_level": 0}
        )
        self._producer.init_transactions(SECONDS)

    def block(
        self, *numbers: int, partition: int = 0, committed: bool = True, session_id: str = SESSION, key: bytes = b""
    ) -> None:
        """Of messages of two lines each; encrypted, if there is a key."""
        lines = [f'["w",{{}}]\n["w",{{"fault-suite-number":"{number:010}"}}]\n' for number in numbers]
        frame = zstandard.compress("".join(lines).encode())
        if key:
            frame = bytes(SecretBox(key).encrypt(frame))
        path = self._folder / f"{numbers}-{partition}"
        path.write_bytes(b"before" + frame)
        url = f"{path.as_uri()}?range=bytes=6-{len(frame) + 5}"
        value = {"block_url": url, "partition": partition, "batch_id": "b", "team_id": TEAM, "session_id": session_id}
        self._send(self.metadata, json.dumps(value), {}, committed)

    def hide(self, session_id: str = SESSION) -> None:
        """Send the record of a deletion."""
        value = {"is_deleted": 1, "team_id": TEAM, "session_id": session_id, "block_url": None}
        self._send(self.metadata, json.dumps(value), {}, True)

    def copy(self, topic: str, number: int, offset: int) -> None:
        headers = {NUMBER_HEADER: str(number), "dlq-partition": "0", "dlq-offset": str(offset)}
        self._send(topic, "value", headers, True)

    @contextmanager
    def open_transaction(self, topic: str) -> Iterator[None]:
        """A transaction that holds one record of partition 0."""
        self._producer.begin_transaction()
        self._producer.produce(topic, b"value", partition=0)
        self._producer.flush()
        yield
        self._producer.abort_transaction()

    def close(self) -> None:
        self.ledger.close()
        self._producer.close()

    def _send(self, topic: str, value: str, headers: dict[str, str], committed: bool) -> None:
        self._producer.begin_transaction()
        self._producer.produce(topic, value.encode(), headers=[*headers.items()])
        if committed:
            self._producer.commit_transaction()
        else:
            self._producer.flush()
            self._producer.abort_transaction()


@pytest.fixture
def outputs(kafka: KafkaServer, new_topic: NewTopic, tmp_path: Path) -> Iterator[Outputs]:
    outputs = Outputs(kafka, new_topic, tmp_path)
    yield outputs
    outputs.close()


def sent(number: int, fate: Fate = Fate.RECORDED, session_id: str = SESSION, sent_at: float = 0) -> Sent:
    return Sent(number, fate, 0, number, 2, zlib.crc32(b"value"), session_id, sent_at)


def test_all_is_well(outputs: Outputs) -> None:
    outputs.block(0, 1)
    outputs.copy(outputs.dlq, 2, offset=2)
    outputs.copy(outputs.overflow, 3, offset=3)
    fates = [Fate.RECORDED, Fate.RECORDED, Fate.DLQ, Fate.REDIRECTED, Fate.DROPPED]
    assert not outputs.ledger.check([sent(*pair) for pair in enumerate(fates)], SECONDS)


def test_lost(outputs: Outputs) -> None:
    outputs.block(0)
    outputs.block(1, committed=False)
    found = outputs.ledger.check([sent(0), sent(1), sent(2, Fate.DLQ)], SECONDS)
    assert (len(found.lost), len(found.doubled), len(found.other)) == (2, 0, 0)


def test_doubled(outputs: Outputs) -> None:
    outputs.block(0, 1)
    assert not outputs.ledger.check([sent(0), sent(1)], SECONDS)
    outputs.block(1)
    outputs.copy(outputs.dlq, 2, offset=2)
    outputs.copy(outputs.dlq, 2, offset=2)
    found = outputs.ledger.check([sent(2, Fate.DLQ)], SECONDS)
    assert (len(found.lost), len(found.doubled), len(found.other)) == (0, 2, 0)


def test_elsewhere_and_otherwise(outputs: Outputs) -> None:
    outputs.block(0, partition=1)
    outputs.block(1)
    outputs.block(9)
    outputs.copy(outputs.dlq, 2, offset=7)
    found = outputs.ledger.check([sent(0), sent(1, Fate.DROPPED), sent(2, Fate.DLQ)], SECONDS)
    assert (len(found.lost), len(found.doubled), len(found.other)) == (0, 0, 4)


def test_an_open_transaction_is_named(outputs: Outputs) -> None:
    with outputs.open_transaction(outputs.overflow), pytest.raises(TimeoutError) as caught:
        outputs.ledger.check([], 1.0)
    assert str(caught.value) == f"nothing to read for 1.0 s: {outputs.overflow}/0 at 0 of 1, stable up to 0"


def test_messages_of_every_fate() -> None:
    chance = random.Random(1)
    made = [messages.message(number, 8, chance) for number in range(300)]
    assert {one.fate for one in made} == {*Fate}
    assert {one.partition for one in made} == {*range(8)}
    assert [one.number for one in made] == [*range(300)]
