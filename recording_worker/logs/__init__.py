"""Logs: how lines are made (`setup`), equal ones counted (`folding`), and what is no line of ours (`raw_output`)."""
