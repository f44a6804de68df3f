"""The fault suite: the worker on a real Kafka through crashes, zombies, cut networks and failing storage.

`make faults` runs it in full; `test_faults.py` runs each kind of fault once.
"""
