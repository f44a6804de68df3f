"""librdkafka's own log lines and errors in plain words, at the level that they deserve."""

import logging
import re
from typing import NamedTuple

import structlog
from confluent_kafka import KafkaError

log = structlog.get_logger()


class Plain(NamedTuple):
    """What a line means."""

    level: int
    event: str


_FACILITIES = {
    "CONFWARN": Plain(logging.DEBUG, "Kafka client: a property has no effect here"),
    "REQTMOUT": Plain(logging.WARNING, "Kafka client: a broker does not answer in time"),
    "TIMEOUT": Plain(logging.WARNING, "Kafka client: a broker does not answer in time"),
    "SESSTMOUT": Plain(logging.WARNING, "Kafka client: the group has not heard from this host in time"),
    "MAXPOLL": Plain(logging.ERROR, "Kafka client: this host was busy for too long, and leaves the group"),
    "PARTCNT": Plain(logging.INFO, "Kafka client: the topic has another number of partitions"),
    "CLUSTERID": Plain(logging.ERROR, "Kafka client: the brokers belong to different clusters"),
    "GETPID": Plain(logging.WARNING, "Kafka client: brokers give no producer id yet"),
    "TXNERR": Plain(logging.WARNING, "Kafka client: a transaction has to be aborted"),
    "COMMITFAIL": Plain(logging.WARNING, "Kafka client: offsets could not be committed"),
    "SASLREFRESH": Plain(logging.WARNING, "Kafka client: the credentials can't be renewed"),
    "FATAL": Plain(logging.ERROR, "Kafka client: it can't go on"),
    "TERMINATE": Plain(logging.DEBUG, "Kafka client: it ends"),
}
"""The word that a line begins with → what it means."""

_ERRORS = {
    KafkaError._ALL_BROKERS_DOWN: "no broker can be reached",  # noqa: SLF001 - public, though named so
    KafkaError._TRANSPORT: "a connection failed",  # noqa: SLF001
    KafkaError._RESOLVE: "the name of a broker is not known",  # noqa: SLF001
    KafkaError._AUTHENTICATION: "a broker refuses the credentials",  # noqa: SLF001
    KafkaError._SSL: "TLS with a broker fails",  # noqa: SLF001
    KafkaError._TIMED_OUT: "a broker does not answer in time",  # noqa: SLF001
    KafkaError._MAX_POLL_EXCEEDED: "this host was busy for too long, and leaves the group",  # noqa: SLF001
}

_CHANGING = re.compile(r" \(after \d+ms in state \w+(, \d+ identical error\(s\) suppressed)?\)")
"""What differs between lines about the same: it would keep them from being counted as one."""
_LINE = re.compile(r"(?s)(?P<facility>[A-Z_0-9]+) (\[(?P<client>[^\]]*)\] )?(?P<text>.*)")


class ToPlainWords(logging.Handler):
    """Logs what librdkafka logs, in plain words. What also comes as an error is left out."""

    def emit(self, record: logging.LogRecord) -> None:
        found = _LINE.fullmatch(record.getMessage())
        if found is None:
            log.log(record.levelno, "Kafka client", text=record.getMessage())
        elif found["facility"] != "FAIL":
            plain = _FACILITIES.get(found["facility"], Plain(record.levelno, "Kafka client"))
            log.log(plain.level, plain.event, kind=found["facility"], text=steady(found["text"]))


def steady(text: str) -> str:
    """Return the text without what differs between two lines about the same."""
    return _CHANGING.sub("", text)


def log_error(error: KafkaError) -> None:
    """Log an error of a client's connections. librdkafka tries again by itself."""
    meaning = _ERRORS.get(error.code())
    log.warning(f"Kafka client: {meaning}" if meaning else "Kafka client", error=steady(error.str()))
