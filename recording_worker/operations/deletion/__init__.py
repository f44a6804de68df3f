"""`delete`: destroys the keys of sessions, and says what of them is left where. `run` is the entry."""
