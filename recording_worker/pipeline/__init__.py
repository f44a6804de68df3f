"""The pipeline: a batch of messages, the steps it goes through, and their order."""
