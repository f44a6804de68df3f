"""What is read from librdkafka's reports of a client."""

from recording_worker.kafka.statistics import ClientStatistics

PARTITION = (
    '"%d": { "partition":%d, "broker":1, "msgq_cnt":0, "fetchq_cnt":%d, "fetchq_size":%d, "fetch_state":"active"} '
)
REPORT = (
    '{ "name": "rdkafka#consumer-1", "brokers":{ '
    '"127.0.0.1:9092/bootstrap": { "nodeid":-1, "source":"configured", "state":"INIT"} , '
    '"127.0.0.1:9092/1": { "nodeid":1, "source":"learned", "state":"UP"} , '
    '"127.0.0.1:9093/2": { "nodeid":2, "source":"learned", "state":"DOWN"} , '
    '"GroupCoordinator": { "nodeid":1, "source":"logical", "state":"UP"} '
    '}, "topics":{ "recordings": { "topic":"recordings", "partitions":{ '
    + ", ".join(PARTITION % (number, number, size // 10, size) for number, size in enumerate((0, 1200, 0, 345)))
    + "} } } }"
)
"""As librdkafka 2.16 writes them, without most of the fields."""


def test_brokers_are_counted_without_the_ones_that_are_none() -> None:
    statistics = ClientStatistics()
    statistics.take(REPORT)
    assert (statistics.brokers_known, statistics.brokers_connected) == (2, 1)
