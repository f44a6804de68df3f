"""The contenders of the comparison: each is its own process, and all do the same job.

The job: from message values in memory to the lines of their events, session by session, with the counters that a
block's metadata needs. Each process takes the file of messages (`benchmarks.wire`) as its last argument and answers
commands from standard input with a line of JSON each (`benchmarks.contenders.serve`).
"""
