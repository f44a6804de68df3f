"""Kafka: the clients, the offsets that they commit, and an embedded broker for the demo and the tests."""
