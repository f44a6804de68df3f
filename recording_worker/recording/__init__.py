"""Session batches: they gather events by session until a flush stores them as batch files."""
