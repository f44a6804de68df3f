"""Reading batch files back: from the files alone, without Kafka and without metadata."""
