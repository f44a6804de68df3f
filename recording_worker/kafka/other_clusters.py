"""OtherClusters: sends console logs and ingestion warnings to clusters of their own, at least once."""

from collections.abc import Iterable, Iterator

from recording_worker.kafka.output_topics import elsewhere
from recording_worker.kafka.producer import RecordProducer
from recording_worker.messages import OutputRecord, RecordChain
from recording_worker.metrics import Metrics
from recording_worker.settings.model import Settings

RECORD_ID = "record-id"
"""The header of a record on another cluster: batch id, topic and position, such as "0192…/log_entries/17"."""


class OtherClusters:
    """Sends the records of some topics.

    A transaction can't span two clusters. So these records are sent first: if the worker dies before its transaction is
    committed, they are sent again, in another batch. Each has an id, by which a reader can drop what comes twice.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        """Raises ConfigError."""
        clusters = elsewhere(settings)
        by_servers = {cluster.bootstrap_servers: cluster for cluster in clusters.values()}
        producers = {servers: RecordProducer(cluster, metrics) for servers, cluster in by_servers.items()}
        self._producers = {
            str(getattr(settings, topic)): producers[cluster.bootstrap_servers] for topic, cluster in clusters.items()
        }
        """Topic → its producer."""

    def leave(self, records: RecordChain) -> RecordChain:
        """Return the records that do not go to another cluster."""
        return records.without(self._producers.__contains__) if self._producers else records

    def send(self, batch_id: str, records: Iterable[OutputRecord]) -> None:
        """Send the records of these topics of a batch, and wait until they are there. Raises FlushError.

        Reads `records` once for each of the topics.
        """
        for topic, producer in self._producers.items():
            producer.send(_with_ids(batch_id, topic, records))


def _with_ids(batch_id: str, topic: str, records: Iterable[OutputRecord]) -> Iterator[OutputRecord]:
    position = 0
    for record in records:
        if record.topic == topic:
            header = (RECORD_ID, f"{batch_id}/{topic}/{position}".encode())
            yield record._replace(headers=[*record.headers, header])
            position += 1
