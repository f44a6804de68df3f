"""The steps of the pipeline, one per file, named after what they do. No step calls another."""
