"""Apache Kafka itself, for the tests and for `make kafka`: a broker or three in KRaft mode, from Maven Central."""

from tests.servers.kafka.cluster import KafkaCluster
from tests.servers.kafka.distribution import libraries
from tests.servers.kafka.server import CERTIFICATES, PASSWORDS, KafkaServer, lasting_client

__all__ = ["CERTIFICATES", "PASSWORDS", "KafkaCluster", "KafkaServer", "lasting_client", "libraries"]
