"""What stands on disk and on topics. Each format is written and read in one module."""
