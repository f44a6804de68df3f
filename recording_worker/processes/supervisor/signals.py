"""StopSignals: the signals that end the service."""

import signal
from collections import deque
from types import FrameType

import structlog

log = structlog.get_logger()


class SecondSignal(Exception):  # noqa: N818 - not an error
    """Raised to exit at once."""


class StopSignals:
    """The first SIGTERM or SIGINT asks for a clean stop, the second for an exit at once."""

    def __init__(self) -> None:
        self._received: deque[int] = deque()
        self.stopping = False
        """Whether a first signal was taken."""

    def listen(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.receive)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Note a signal; what it asks for happens in `take`, outside of the signal handler."""
        self._received.append(number)

    def take(self) -> None:
        """Act on the signals that were received. Raises SecondSignal."""
        while self._received:
            number = self._received.popleft()
            if self.stopping:
                raise SecondSignal
            self.stopping = True
            log.info("stopping", signal=signal.Signals(number).name)
