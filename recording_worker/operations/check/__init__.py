"""Checks what the service needs, all at once: settings, files, stores, storage and Kafka."""
