"""A reference decoder in plain Python: slow, obviously right, and written from the decoder's contract alone.

`decoder.py` says what becomes of one message, `counters.py` what a block's metadata must be. The native
core is compared with both.
"""
