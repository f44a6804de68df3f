"""ClientStatistics: what librdkafka reports of a client, as of its last report."""

import orjson

INTERVAL_MS = 5000


class ClientStatistics:
    """Which brokers a client is connected to. It connects only to those that it needs."""

    brokers_known = 0
    brokers_connected = 0

    def take(self, report: str) -> None:
        """Take a report (`stats_cb`); its fields are in librdkafka's STATISTICS.md."""
        brokers = [each for each in orjson.loads(report)["brokers"].values() if _is_real(each)]
        self.brokers_known = len(brokers)
        self.brokers_connected = sum(1 for each in brokers if each["state"] == "UP")


def _is_real(broker: dict[str, object]) -> bool:
    """Return whether this is a broker of the cluster, and not an address to begin with, or a second connection."""
    return broker["nodeid"] != -1 and broker["source"] != "logical"
