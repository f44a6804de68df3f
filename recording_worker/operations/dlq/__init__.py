"""What is on the DLQ, and what operators do about it: looked at, sent back to where it came from, or dropped."""
