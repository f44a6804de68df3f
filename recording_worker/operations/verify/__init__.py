"""`verify`: compares what Kafka says was recorded with the files and with itself. `run` is the entry."""
