"""`python -m benchmarks.end_to_end FILE…`: the whole job measured, from Kafka to stored files and committed offsets."""
