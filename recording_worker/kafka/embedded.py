"""EmbeddedBroker: librdkafka's mock cluster on a real TCP port, for the demo and the tests.

It comes with the confluent-kafka wheel and needs no install. It keeps 5 MiB per partition and silently drops the
oldest messages, so a producer has to wait for its consumers. It accepts transactions, but they have no effect.
"""

import ctypes
import ctypes.util
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import confluent_kafka

from recording_worker.errors import WorkerError

ALL_BROKERS = -1

_PRODUCER = 0
_ERROR_TEXT_BYTES = 512
_ORDER_INTERVAL = 0.005
"""Seconds between two orders to the cluster. If they are closer, it may carry out the second a second later."""


class EmbeddedBroker:
    """A Kafka cluster inside this process; other processes connect to `bootstrap_servers`."""

    def __init__(self, brokers: int = 1) -> None:
        self._lib = _librdkafka()
        error = ctypes.create_string_buffer(_ERROR_TEXT_BYTES)
        conf = self._lib.rd_kafka_conf_new()
        self._lib.rd_kafka_conf_set(conf, b"log_level", b"0", error, _ERROR_TEXT_BYTES)
        self._client = self._lib.rd_kafka_new(_PRODUCER, conf, error, _ERROR_TEXT_BYTES)
        if not self._client:
            raise WorkerError(f"embedded broker: {error.value.decode()}")
        self._cluster = self._lib.rd_kafka_mock_cluster_new(self._client, brokers)
        self._lib.rd_kafka_mock_group_initial_rebalance_delay_ms(self._cluster, 0)
        self.bootstrap_servers: str = self._lib.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop the brokers. What they held is lost."""
        if self._cluster:
            time.sleep(_ORDER_INTERVAL)
            self._lib.rd_kafka_mock_cluster_destroy(self._cluster)
            self._lib.rd_kafka_destroy(self._client)
            self._cluster = None

    def create_topic(self, name: str, partitions: int, replication: int = 1) -> None:
        self._order(self._lib.rd_kafka_mock_topic_create, name.encode(), partitions, replication)

    def push_request_errors(self, api_key: int, errors: Sequence[int]) -> None:
        """Fail the next requests of a kind, each with one of the errors.

        `api_key` is Kafka's (0 Produce, 1 Fetch, 8 OffsetCommit, …). `errors` are Kafka's codes; -195 (`_TRANSPORT`)
        makes the broker close the connection.
        """
        codes = (ctypes.c_int * len(errors))(*errors)
        self._lib.rd_kafka_mock_push_request_errors_array(self._cluster, api_key, len(errors), codes)

    def forbid(self, api_key: int) -> None:
        """Behave like a broker that does not know a kind of request (22 InitProducerId: without transactions)."""
        self._order(self._lib.rd_kafka_mock_set_apiversion, api_key, -1, -1)

    def set_down(self, broker: int = ALL_BROKERS) -> None:
        """Drop the connections of a broker, and refuse new ones."""
        self._order(self._lib.rd_kafka_mock_broker_set_down, broker)

    def set_up(self, broker: int = ALL_BROKERS) -> None:
        self._order(self._lib.rd_kafka_mock_broker_set_up, broker)

    def _order(self, function: Callable[..., int], *arguments: bytes | int) -> None:
        time.sleep(_ORDER_INTERVAL)
        if code := function(self._cluster, *arguments):
            raise WorkerError(f"embedded broker: {self._lib.rd_kafka_err2str(code).decode()}")


def _librdkafka() -> ctypes.CDLL:
    """Load the librdkafka that confluent-kafka runs on: the one in its wheel, or else the system's."""
    site = Path(confluent_kafka.__file__).parent
    bundled = [*site.parent.glob("confluent_kafka.libs/librdkafka*"), *site.glob(".dylibs/librdkafka*")]
    name = str(bundled[0]) if bundled else ctypes.util.find_library("rdkafka")
    if name is None:
        raise WorkerError("embedded broker: librdkafka is not in confluent-kafka's wheel and not on the system")
    lib = ctypes.CDLL(name)
    pointer, integer, text = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    signatures: dict[str, tuple[type | None, list[type]]] = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (integer, [pointer, text, text, text, ctypes.c_size_t]),
        "rd_kafka_new": (pointer, [integer, pointer, text, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_err2str": (text, [integer]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, integer]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (integer, [pointer, text, integer, integer]),
        "rd_kafka_mock_group_initial_rebalance_delay_ms": (None, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_down": (integer, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_up": (integer, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_set_apiversion": (integer, [pointer, ctypes.c_int16, ctypes.c_int16, ctypes.c_int16]),
        "rd_kafka_mock_push_request_errors_array": (None, [pointer, ctypes.c_int16, ctypes.c_size_t, pointer]),
    }
    for function, (result, arguments) in signatures.items():
        getattr(lib, function).restype = result
        getattr(lib, function).argtypes = arguments
    return lib
