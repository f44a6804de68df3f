"""Apache Kafka itself, for the tests and for `make kafka`: one broker in KRaft mode, from Maven Central."""

from tests.servers.kafka.distribution import libraries
from tests.servers.kafka.server import KafkaServer, lasting_client

__all__ = ["KafkaServer", "lasting_client", "libraries"]
