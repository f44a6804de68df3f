"""collect_batch_metrics: how large polls and messages are."""

from recording_worker import metrics
from recording_worker.pipeline.batch import MessageBatch


class CollectBatchMetrics:
    """Reads the values' sizes. Sets nothing, never blocks."""

    name = "collect_batch_metrics"

    def run(self, batch: MessageBatch) -> None:
        if not len(batch):
            return
        sizes = [len(value) for value in batch.values if value is not None]
        metrics.MESSAGE_BYTES.observe_all(sizes)
        metrics.BATCH_MESSAGES.observe(len(batch))
        metrics.BATCH_KIB.observe(sum(sizes) / 1024)
