"""What the comparison holds against each other: each contender its own process, all with the same job.

The job: message values in hand to the lines of their events, session by session, with the counters a block's
metadata needs. Each process takes the file of messages (`benchmarks.wire`) as its last argument and answers
commands from standard input with a line of JSON each (`benchmarks.contenders.serve`).
"""
