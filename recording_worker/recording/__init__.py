"""Session batches: what gathers events per session until a flush, and the flush itself."""
