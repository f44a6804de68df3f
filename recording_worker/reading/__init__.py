"""Reads batch files: from the files alone, without Kafka and without block metadata."""
