"""A worker process: reads the partitions it was given, runs the pipeline over them, and flushes what it recorded."""

import recording_worker.logs.lean_structlog  # noqa: F401
