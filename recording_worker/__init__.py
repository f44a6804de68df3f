"""recording-worker: reads session recordings from Kafka and writes them to object storage as batch files."""

__version__ = "0.1.0"
