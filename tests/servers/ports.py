"""Ports for servers that tests start."""

import functools
import random
import socket
from collections import deque

_FIRST = 20_000
"""Ports from here to 32,000 lie below those the system gives to outgoing connections.

Otherwise a client that tries to reach a stopped server could get the server's own port, and talk to itself.
"""
_PER_PROCESS = 500
_PROCESSES = 24
_given: deque[int] = deque(maxlen=_PER_PROCESS // 2)
"""Ports given last: who has one may take long to listen on it, or be stopped for a while."""


@functools.cache
def _range() -> tuple[int, socket.socket]:
    """A range of ports that no other process gives, and what holds it until this process ends: its first port."""
    for start in range(_FIRST, _FIRST + _PROCESSES * _PER_PROCESS, _PER_PROCESS):
        holder = socket.socket()
        try:
            holder.bind(("127.0.0.1", start))
        except OSError:
            holder.close()
        else:
            return start, holder
    raise RuntimeError(f"no ports for servers: {_PROCESSES} processes have taken all from {_FIRST} on")


def free_ports(number: int) -> list[int]:
    """Return ports nobody listens on. Each process takes them from a range of its own."""
    start, _ = _range()
    ports: set[int] = set()
    while len(ports) < number:
        port = random.randrange(start + 1, start + _PER_PROCESS)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        ports.add(port)
        _given.append(port)
    return sorted(ports)
