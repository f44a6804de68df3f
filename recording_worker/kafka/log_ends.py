"""LogEnds: the ends of partitions' logs, asked for while other work goes on."""

from collections.abc import Collection
from concurrent.futures import Future
from typing import NamedTuple

import structlog
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec  # type: ignore[attr-defined]

from recording_worker.clock import Clock

log = structlog.get_logger()

_ASK_SECONDS = 2.0
"""How often the brokers are asked."""
_TIMEOUT = 3.0


class FoundEnds(NamedTuple):
    """What the brokers have answered."""

    asked_at: float
    """When they were asked, seconds since 1970. What came later is not counted."""
    offsets: dict[int, int]
    """Partition → the offset of its next message (high watermark). A partition without an answer is left out."""


class LogEnds:
    """Asks the brokers itself, so that the ends are known while no worker reads. For one thread."""

    def __init__(self, client: AdminClient, topic: str, clock: Clock) -> None:
        self._client = client
        self._topic = topic
        self._clock = clock
        self._asked: dict[int, Future[ListOffsetsResultInfo]] = {}
        self._asked_at = 0.0
        self._ask_after = 0.0

    def turn(self, partitions: Collection[int]) -> FoundEnds | None:
        """Ask for the ends of these now and then, without waiting. Return them when all answers are there."""
        if not self._asked:
            if partitions and self._clock.monotonic() >= self._ask_after:
                self._ask(partitions)
            return None
        if not all(answer.done() for answer in self._asked.values()):
            return None
        ends = {number: end for number, answer in self._asked.items() if (end := _end_of(answer)) is not None}
        self._asked = {}
        return FoundEnds(self._asked_at, ends)

    def _ask(self, partitions: Collection[int]) -> None:
        self._ask_after = self._clock.monotonic() + _ASK_SECONDS
        self._asked_at = self._clock.now_ms() / 1000
        wanted = {TopicPartition(self._topic, number): OffsetSpec.latest() for number in partitions}  # type: ignore[no-untyped-call]
        answers = self._client.list_offsets(wanted, request_timeout=_TIMEOUT)
        self._asked = {at.partition: answer for at, answer in answers.items()}


def _end_of(answer: "Future[ListOffsetsResultInfo]") -> int | None:
    """Return the end; None if the brokers did not say it."""
    try:
        return int(answer.result().offset)
    except KafkaException as problem:
        log.debug("the end of a log can't be asked for", error=str(problem))
        return None
