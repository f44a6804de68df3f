"""Faults of the key store of encrypted sessions. Nothing is stored in the clear because of one, and nothing is lost."""

import time
from threading import Lock

from tests.faults.arena import Round
from tests.faults.key_servers import Trouble

_FAILS = "Key store fails"
"""What a supervisor logs."""
_IN_HAND = Lock()
"""Only one fault at a time has the key store in hand."""


def hurt(trouble: Trouble, at: Round) -> int:
    """Keep the key store in trouble until hosts have met it, and somewhat longer."""
    assert at.keys is not None
    if not _IN_HAND.acquire(blocking=False):
        raise TimeoutError("the key store is in trouble already")
    try:
        before = _met(at)
        with at.keys.hurt(trouble):
            hits = at.hits(lambda: _met(at) - before, 20)
            time.sleep(at.chance.uniform(0, 8))
            return hits
    finally:
        _IN_HAND.release()


def _met(at: Round) -> int:
    """How many requests have met trouble, or how often hosts have said so."""
    assert at.keys is not None
    return at.keys.hits + sum(host.logged(_FAILS) for host in at.hosts)
