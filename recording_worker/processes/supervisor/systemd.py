"""SystemdNotifier: tells the service manager when the service is up, that its loop turns, and when it stops.

The protocol is sd_notify(3): datagrams of `NAME=VALUE` lines to the socket that systemd names in NOTIFY_SOCKET.
Without that variable nothing is sent.
"""

import math
import os
import socket
from collections.abc import Mapping

import structlog

from recording_worker.clock import Clock
from recording_worker.text import printable

log = structlog.get_logger()

_SEND_SECONDS = 0.5
"""How long a message may wait until the service manager has room for it."""


class SystemdNotifier:
    """Sends each state once, and a sign of life as often as systemd asks for. For one thread."""

    def __init__(self, environ: Mapping[str, str], clock: Clock) -> None:
        self._clock = clock
        path = environ.get("NOTIFY_SOCKET", "")
        self._address = f"\0{path[1:]}" if path.startswith("@") else path
        self._interval = _watchdog_seconds(environ) / 3
        """Seconds between two signs of life: two may get lost. 0 if systemd waits for none."""
        self._alive_at = -math.inf
        self._told: dict[str, str] = {}
        """Variable → the value that was sent last."""
        self._failing = False

    def turned(self, *, started: bool, status: str) -> None:
        """Say that the loop turns. `started`: the start is over. `status`: one line for people."""
        news = {"STATUS": printable(status)} | ({"READY": "1"} if started else {})
        now = self._clock.monotonic()
        beat = 0 < self._interval <= now - self._alive_at
        if self._tell(news, watchdog=beat) and beat:
            self._alive_at = now

    def stopping(self) -> None:
        """Say that the service has begun to stop."""
        self._tell({"STOPPING": "1", "STATUS": "stopping"})

    def _tell(self, news: Mapping[str, str], *, watchdog: bool = False) -> bool:
        """Send what systemd does not know yet. Return whether it knows all now."""
        news = {name: value for name, value in news.items() if self._told.get(name) != value}
        lines = [f"{name}={value}" for name, value in news.items()] + ["WATCHDOG=1"] * watchdog
        if not self._address or not lines:
            return True
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.settimeout(_SEND_SECONDS)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._failing:
                log.warning("systemd can't be notified", error=str(error))
            self._failing = True
            return False
        self._told.update(news)
        self._failing = False
        return True


def _watchdog_seconds(environ: Mapping[str, str]) -> float:
    """Return the seconds of silence after which systemd kills this process; 0 if it does not."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    is_ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(microseconds) / 1e6 if microseconds.isdecimal() and is_ours else 0.0
