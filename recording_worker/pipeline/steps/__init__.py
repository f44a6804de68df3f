"""The steps of the pipeline, one a file, named after what they do. No step calls another."""
