"""Message files through the worker's pipeline to a folder, without Kafka: what `recording-worker ingest` does."""
