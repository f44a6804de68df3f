"""`recording-worker ingest`: takes message files through the worker's pipeline to a folder, without Kafka."""
