"""Kafka: the clients, the offsets they commit, and an embedded broker for the demo and the tests."""
