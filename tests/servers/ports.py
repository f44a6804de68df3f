"""Ports for servers that tests start."""

import os
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


def free_ports(number: int) -> list[int]:
    """Return ports nobody listens on. Each test process of pytest-xdist takes them from a range of its own."""
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    start = _FIRST + process % _PROCESSES * _PER_PROCESS
    ports: set[int] = set()
    while len(ports) < number:
        port = random.randrange(start, start + _PER_PROCESS)
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
