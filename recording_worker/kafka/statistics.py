"""ClientStatistics: what librdkafka reports of the supervisor's client. Its STATISTICS.md says what the fields mean."""

import orjson

INTERVAL_MS = 5000
"""How often the client reports."""


class ClientStatistics:
    """Which brokers a client is connected to, only those that it needs, as of its last report."""

    brokers_known = 0
    brokers_connected = 0

    def take(self, report: str) -> None:
        """Take a report (`stats_cb`)."""
        said = orjson.loads(report)
        brokers = [each for each in said["brokers"].values() if _is_real(each)]
        self.brokers_known = len(brokers)
        self.brokers_connected = sum(1 for each in brokers if each["state"] == "UP")


def _is_real(broker: dict[str, object]) -> bool:
    """Return whether this is a broker of the cluster, and not an address to begin with, or a second connection."""
    return broker["nodeid"] != -1 and broker["source"] != "logical"
