"""A folder on this machine: the storage backend, files that are read by ranges, and the inventory."""
