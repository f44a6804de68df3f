"""collect_batch_metrics: how large polls and messages are."""

from recording_worker.metrics import Metrics
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step


class CollectBatchMetrics(Step):
    """Reads the values' sizes. Sets nothing, never blocks."""

    name = "collect_batch_metrics"

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def run(self, batch: MessageBatch) -> None:
        if not len(batch):
            return
        sizes = [len(value) for value in batch.values if value is not None]
        self._metrics.message_bytes.observe_all(sizes)
        self._metrics.batch_messages.observe(len(batch))
        self._metrics.batch_kib.observe(sum(sizes) / 1024)
