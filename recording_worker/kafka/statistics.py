"""ClientStatistics: what librdkafka reports of a client, as of its last report."""

import orjson

INTERVAL_MS = 5000


class ClientStatistics:
    """Which brokers a client is connected to, only those that it needs; and what it has fetched and not handed out."""

    brokers_known = 0
    brokers_connected = 0
    fetch_queue_bytes = 0

    def take(self, report: str) -> None:
        """Take a report (`stats_cb`); its fields are in librdkafka's STATISTICS.md."""
        said = orjson.loads(report)
        brokers = [each for each in said["brokers"].values() if _is_real(each)]
        self.brokers_known = len(brokers)
        self.brokers_connected = sum(1 for each in brokers if each["state"] == "UP")
        partitions = [at for topic in said["topics"].values() for at in topic["partitions"].values()]
        self.fetch_queue_bytes = sum(at["fetchq_size"] for at in partitions)


def _is_real(broker: dict[str, object]) -> bool:
    """Return whether this is a broker of the cluster, and not an address to begin with, or a second connection."""
    return broker["nodeid"] != -1 and broker["source"] != "logical"
