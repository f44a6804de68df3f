"""`verify`: what Kafka says was recorded, held against the files and against itself."""
