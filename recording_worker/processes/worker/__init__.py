"""A worker process: reads the partitions it was given, runs the pipeline over them, and flushes what it recorded."""
