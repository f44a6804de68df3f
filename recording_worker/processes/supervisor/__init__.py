"""The supervisor: one process a host that owns partitions, hands them to workers, and commits their offsets."""
