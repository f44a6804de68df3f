"""StartOffsets: where a group begins to read its partitions."""

import random
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

import structlog
from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition

from recording_worker.kafka.aside import call_aside
from recording_worker.kafka.offsets import Position, position_of, topic_partitions
from recording_worker.settings.choices import StartFrom

log = structlog.get_logger()

_REQUEST_TIMEOUT = 3.0
_SINGLE_REQUEST_TIMEOUT = 0.3

Ask = Callable[..., list[TopicPartition]]
"""`committed` or `offsets_for_times` of a consumer."""

_FOUNDING_PARTITION = 0
"""Its owner commits the first offsets of a group that begins at the logs' ends."""


class StartOffsets:
    """Asks the brokers where the partitions of a topic begin for a group. The consumer is a member of the group.

    A partition without a committed offset does not make a group new: it may have been added to the topic, and what it
    holds was sent while the group ran. So `latest` only counts once. A group that has committed nothing is founded:
    one member commits the ends of all the partitions that there are. A partition that has no offset after that
    begins at its beginning.
    """

    def __init__(self, consumer: Consumer, topic: str, start_from: StartFrom) -> None:
        self._consumer = consumer
        self._topic = topic
        self._founded = start_from is StartFrom.EARLIEST
        """Whether there is nothing to be founded, or the group has committed an offset."""

    def find(self, partitions: Iterable[int], topic_id: str) -> dict[int, tuple[Position | None, int]]:
        """Return partition → (what is committed or None, where to begin if nothing is).

        What was committed of a topic with another id does not count: the topic was created again, and begins at its
        beginning, even with `latest`.

        Asks the broker and waits for it, for some seconds. A partition is left out if the broker does not answer for
        it, if it has a transaction that is not decided yet, if there was no time to ask, or if the group must be
        founded first.
        """
        starts: dict[int, tuple[Position | None, int]] = {}
        try:
            committed = self._committed(partitions)
            found = {at.partition: position_of(at) for at in committed if at.offset >= 0}
            self._founded = self._founded or bool(found)
            starts = {number: (at, at.offset) for number, at in found.items() if at.is_of(topic_id)}
            if old := {number: at.offset for number, at in found.items() if number not in starts}:
                log.error("the topic was created again since these were committed: read from its beginning", old=old)
            new = [at.partition for at in committed if at.partition not in starts]
            if new and self._is_founded(topic_id):
                starts |= {at.partition: (None, at.offset) for at in self._log_offsets(new, OFFSET_BEGINNING)}
        except KafkaException as problem:
            log.warning("committed offsets can't be read yet", error=problem.args[0].str())
        return starts

    def _is_founded(self, topic_id: str) -> bool:
        """Return whether the group has committed an offset of the topic. If it has not, found it or wait for it."""
        if not self._founded:
            numbers = sorted(self._consumer.list_topics(self._topic, _REQUEST_TIMEOUT).topics[self._topic].partitions)
            committed = self._committed(numbers)
            self._founded = any(at.offset >= 0 for at in committed)
            if not self._founded and 0 < len(numbers) == len(committed) and self._is_founder():
                self._found(numbers, topic_id)
        return self._founded

    def _is_founder(self) -> bool:
        """Return whether this member is the one that founds the group. In each generation there is only one."""
        return _FOUNDING_PARTITION in {at.partition for at in self._consumer.assignment()}

    def _found(self, numbers: list[int], topic_id: str) -> None:
        """Commit the ends of all partitions in one request, so that the group is founded whole or not at all."""
        ends = self._log_offsets(numbers, OFFSET_END)
        if len(ends) < len(numbers):
            return
        first = topic_partitions(self._topic, {at.partition: Position(at.offset, None, topic_id) for at in ends})
        answer = call_aside(lambda: self._consumer.commit(offsets=first, asynchronous=False))
        try:
            committed = answer.result(_REQUEST_TIMEOUT)
        except (TimeoutError, RuntimeError):
            log.warning("no answer to the first commit of the group: it is made again")
        else:
            _raise_first_error(committed)
            log.info("new group, it begins at the ends", offsets={at.partition: at.offset for at in committed})

    def _committed(self, numbers: Iterable[int]) -> list[TopicPartition]:
        return _answers(self._consumer.committed, [TopicPartition(self._topic, number) for number in numbers])

    def _log_offsets(self, numbers: Iterable[int], which: int) -> list[TopicPartition]:
        """Return where the logs begin or end; `which` is OFFSET_BEGINNING or OFFSET_END."""
        asked = [TopicPartition(self._topic, number, which) for number in numbers]
        return _answers(self._consumer.offsets_for_times, asked)


def _answers(ask: Ask, asked: list[TopicPartition]) -> list[TopicPartition]:
    """Return the answers without an error. One partition may hold up the answer for all; then ask for each alone.

    A transaction that is not decided holds up the committed offsets, a missing leader the ends of logs.
    """
    try:
        answers = ask(asked, timeout=_REQUEST_TIMEOUT)
    except KafkaException as problem:
        answers = []
        deadline = time.monotonic() + _REQUEST_TIMEOUT
        for at in random.sample(asked, len(asked)):  # so that each has its turn
            if time.monotonic() >= deadline:
                break
            with suppress(KafkaException):
                answers += ask([at], timeout=_SINGLE_REQUEST_TIMEOUT)
        if not answers:
            raise problem
        log.info("no answer for some partitions, they wait", partitions=len(asked) - len(answers))
    found = [at for at in answers if at.error is None]
    if not found:
        _raise_first_error(answers)
    return found


def _raise_first_error(answers: Iterable[TopicPartition]) -> None:
    for at in answers:
        if at.error is not None:
            raise KafkaException(at.error)
