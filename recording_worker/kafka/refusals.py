"""Refusals: records that their topics refuse, and what becomes of them. An error of one record ends as one record.

A broker refuses all records of a partition that it gets at once. librdkafka (2.16) says which ones are at fault if they
are several, and gives all of them the error of the one if it is one. So the refused records are sent again one by one.
Then each shows whether it is refused. Only the time is taken off at once: that can't be what is wrong afterwards.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import structlog
from confluent_kafka import KafkaError

from recording_worker.errors import FlushError
from recording_worker.formats.dlq_headers import is_dlq_header
from recording_worker.messages import OutputRecord
from recording_worker.metrics import Metrics

log = structlog.get_logger()

_MAX_UNEXPLAINED = 10
"""Records of a delivery that may be refused for what we don't know. With more it is their topic that is at fault."""

_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE})
_REFUSED = _TOO_LARGE | {KafkaError.INVALID_TIMESTAMP, KafkaError.INVALID_RECORD, KafkaError.POLICY_VIOLATION}


_Content = tuple[object, ...]


class Failure(NamedTuple):
    """A record that was not accepted, or an equal one."""

    record: OutputRecord
    error: KafkaError


def take_refused(failures: list[Failure]) -> list[Failure]:
    """Remove the records that were refused for what they, or records sent at once with them, are. Return them."""
    refused = [failure for failure in failures if failure.error.code() in _REFUSED]
    failures[:] = [failure for failure in failures if failure.error.code() not in _REFUSED]
    return refused


def take_innocent(failures: list[Failure]) -> list[OutputRecord]:
    """Remove the records that only failed because of others that were sent with them. Return them."""
    different = KafkaError._INVALID_DIFFERENT_RECORD  # noqa: SLF001 - public, though named so
    innocent = [failure.record for failure in failures if failure.error.code() == different]
    failures[:] = [failure for failure in failures if failure.error.code() != different]
    return innocent


def is_dated(failure: Failure) -> bool:
    """Return whether the record may have been refused for a time of its own. If several are, the error is the other."""
    record, error = failure
    if error.code() == KafkaError.INVALID_RECORD and record.key is None:
        return False
    return record.timestamp_ms > 0 and error.code() in (KafkaError.INVALID_TIMESTAMP, KafkaError.INVALID_RECORD)


class Refusals:
    """What the records of a delivery that were refused alone say about the others."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._too_large: dict[str, tuple[int, KafkaError]] = {}
        """Topic → the size of the smallest record that is too large for it."""
        self._no_key: dict[str, KafkaError] = {}
        """The topics that refuse records without a key, as compacted ones do."""
        self._unexplained = 0

    def leave_out(self, failure: Failure) -> None:
        """Leave out a record that was refused alone. Raises FlushError if that is not the record's fault."""
        record, error = failure
        if error.code() in _TOO_LARGE:
            self._too_large[record.topic] = (record.size, error)
        elif error.code() == KafkaError.INVALID_TIMESTAMP:
            raise FlushError(f"topic {record.topic} refuses the present time: is the clock of this host right?")
        elif error.code() == KafkaError.INVALID_RECORD and record.key is None:
            self._no_key[record.topic] = error
        elif self._unexplained == _MAX_UNEXPLAINED:
            raise FlushError(f"topic {record.topic} refuses more than {_MAX_UNEXPLAINED} records: {error.str()}")
        else:
            self._unexplained += 1
        self._log(record, error)

    def leaves_out(self, record: OutputRecord) -> bool:
        """Leave out a record if its topic has refused a similar one. Return whether it has."""
        size, error = self._too_large.get(record.topic, (0, None))
        if error is None or record.size < size:
            error = self._no_key.get(record.topic) if record.key is None else None
        if error is None:
            return False
        self._log(record, error)
        return True

    def _log(self, record: OutputRecord, error: KafkaError) -> None:
        """Count and log a record that is lost; of a DLQ record its headers say where the message still is."""
        if error.code() in _TOO_LARGE:
            self._metrics.records_too_large.labels(record.topic).inc()
        else:
            self._metrics.records_refused.labels(record.topic, error.name()).inc()
        log.error(
            "record left out, its topic refuses it",
            error=error.str(),
            topic=record.topic,
            key=_shortened(record.key),
            bytes=len(record.value or b""),
            headers={key: _shortened(value) for key, value in record.headers if is_dlq_header(key)},
        )


class Outgoing:
    """The records that one transaction after the other tries to send, until none of them is refused.

    The first of a transaction's records that is refused ends it. Equal records share what becomes of one of them.
    """

    def __init__(self, records: Iterable[OutputRecord], metrics: Metrics) -> None:
        """`records` can be iterated again and again."""
        self._records = records
        self._metrics = metrics
        self._refusals = Refusals(metrics)
        self._aside: set[_Content] = set()
        """Records that are not sent with the others."""
        self._undated: set[_Content] = set()
        """Records that are sent with the present time."""
        self._undated_topics: set[str] = set()
        """The topics that refused a time."""
        self.suspects: list[OutputRecord] = []
        """Records to send one by one, before the others."""

    def others(self) -> Iterator[OutputRecord]:
        """Give the records to send at once."""
        if not self._aside and not self._undated_topics:
            yield from self._records
            return
        for record in map(self._dated, self._records):
            if _content(record) not in self._aside:
                yield record

    def learn(self, refused: list[Failure]) -> None:
        """Take in what a transaction was aborted for. Raises FlushError if a topic refuses what it must take."""
        dated = [failure for failure in refused if is_dated(failure)]
        if dated:
            self._take_time_off(dated)
            return
        alone = set(map(_content, self.suspects))
        found = {_content(failure.record): failure.error for failure in refused if _content(failure.record) in alone}
        if found:
            self._leave_out(found)
        else:
            new = {_content(failure.record) for failure in refused}
            self.suspects += [record for record in self.others() if _content(record) in new]
            self._aside |= new

    def _take_time_off(self, dated: list[Failure]) -> None:
        """Send these with the present time; if their topic refused a time before, all its other records too."""
        for topic in {failure.record.topic for failure in dated}:
            again = topic in self._undated_topics
            self._undated_topics.add(topic)
            found = {
                _content(record)
                for record in (self._records if again else (failure.record for failure in dated))
                if record.topic == topic and record.timestamp_ms
            }
            count_redated(topic, len(found - self._undated), self._metrics)
            self._undated |= found
        self.suspects = [*map(self._dated, self.suspects)]

    def _dated(self, record: OutputRecord) -> OutputRecord:
        undated = record.timestamp_ms and record.topic in self._undated_topics and _content(record) in self._undated
        return record._replace(timestamp_ms=0) if undated else record

    def _leave_out(self, found: Mapping[_Content, KafkaError]) -> None:
        """Leave out the suspects that were refused alone, and those that would be."""
        refused = [record for record in self.suspects if _content(record) in found]
        for record in refused:
            self._refusals.leave_out(Failure(record, found[_content(record)]))
        self.suspects = [
            record
            for record in self.suspects
            if _content(record) not in found and not self._refusals.leaves_out(record)
        ]


def count_redated(topic: str, records: int, metrics: Metrics) -> None:
    """Count and log records that are sent with the present time instead of their own."""
    metrics.records_redated.labels(topic).inc(records)
    log.warning(
        "records sent with the present time, their topic refuses the time of their message",
        topic=topic,
        records=records,
    )


def _content(record: OutputRecord) -> _Content:
    """What two records have in common if they are equal."""
    return record.topic, record.key, record.value, tuple(record.headers)


def _shortened(text: bytes | None) -> str:
    return (text or b"")[:100].decode(errors="replace")
