"""Restrictions by token: which messages to drop, to redirect to the DLQ, or to overflow."""
