"""`bench`: what recordings cost on this machine, and a report about it. Needs no Kafka and no storage."""
