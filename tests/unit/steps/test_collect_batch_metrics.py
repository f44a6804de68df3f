from recording_worker.metrics import Metrics
from recording_worker.pipeline.steps.collect_batch_metrics import CollectBatchMetrics
from tests.builders import batch, counted, message


def received(metrics: Metrics) -> list[float | None]:
    """Messages received of partitions 0 and 1."""
    return [counted(metrics, "messages_received_total", partition=partition) for partition in "01"]


def test_polls_are_measured_and_an_empty_one_is_not() -> None:
    metrics = Metrics()
    step = CollectBatchMetrics(metrics)
    step.run(batch(message(0, value=b"x" * 1000), message(1, value=b"x" * 24), message(2, value=None)))
    step.run(batch(message(3, value=b"x" * 2048)))
    step.run(batch())
    assert counted(metrics, "message_bytes_count") == 3
    assert counted(metrics, "message_bytes_sum") == 3072
    buckets = {le: counted(metrics, "message_bytes_bucket", le=le) for le in ("256.0", "1024.0", "4096.0", "+Inf")}
    assert buckets == {"256.0": 1, "1024.0": 2, "4096.0": 3, "+Inf": 3}
    assert counted(metrics, "batch_messages_count") == 2
    assert counted(metrics, "batch_messages_sum") == 4
    assert counted(metrics, "batch_messages_bucket", le="1.0") == 1
    assert counted(metrics, "batch_bytes_count") == 2
    assert counted(metrics, "batch_bytes_sum") == 3 * 1024
    assert counted(metrics, "batch_bytes_bucket", le="1024.0") == 1


def test_messages_are_counted_by_partition_when_they_come_in() -> None:
    metrics = Metrics()
    step = CollectBatchMetrics(metrics)
    step.run(batch(message(0), message(7, partition=1), message(1)))
    assert received(metrics) == [2, 1]
    step.run(batch(message(2)))
    assert received(metrics) == [3, 1]


def test_a_message_that_was_cut_off_is_counted_once() -> None:
    metrics = Metrics()
    step = CollectBatchMetrics(metrics)
    step.run(batch(*(message(offset) for offset in range(4))))
    step.run(batch(message(2)))
    step.run(batch(message(3), message(4)))
    assert received(metrics) == [5, None]


def test_a_forgotten_partition_is_counted_from_its_next_offset() -> None:
    metrics = Metrics()
    step = CollectBatchMetrics(metrics)
    step.run(batch(message(5), message(5, partition=1)))
    step.forget([0, 7])
    step.run(batch(message(5), message(5, partition=1)))
    assert received(metrics) == [2, 1]
