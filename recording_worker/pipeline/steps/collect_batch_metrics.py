"""collect_batch_metrics: counts the messages that come in, by partition, and measures messages and polls."""

from array import array
from collections.abc import Collection

from recording_worker._native import offset_ranges
from recording_worker.metrics import Metrics
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step

_BOUNDS = array("q", map(int, Metrics.message_bytes.buckets))


class CollectBatchMetrics(Step):
    """Reads offsets and the sizes of values. Sets nothing, never blocks.

    A message that comes again because its batch was cut is counted once.
    """

    name = "collect_batch_metrics"

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._next_offsets: dict[int, int] = {}
        """Partition → the first offset that has not come yet."""

    def run(self, batch: MessageBatch) -> None:
        if not len(batch):
            return
        for partition, (first, end, messages) in offset_ranges(batch.partitions, batch.offsets).items():
            new_from = self._next_offsets.get(partition, 0)
            if first < new_from:
                rows = zip(batch.partitions, batch.offsets, strict=True)
                messages = sum(1 for number, offset in rows if number == partition and offset >= new_from)
            self._next_offsets[partition] = max(new_from, end)
            self._metrics.messages_received.labels(partition).inc(messages)
        size = batch.messages.values.total
        self._metrics.message_bytes.observe_counts(batch.messages.values.count_sizes(_BOUNDS), size)
        self._metrics.batch_messages.observe(len(batch))
        self._metrics.batch_bytes.observe(size)

    def forget(self, partitions: Collection[int]) -> None:
        for partition in partitions:
            self._next_offsets.pop(partition, None)
