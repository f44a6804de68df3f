"""S3: the storage backend, files that are read by ranges, and the inventory, over one client and its retries."""
