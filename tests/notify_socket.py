"""NotifySocket: the end of sd_notify(3) that systemd holds."""

import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self


class NotifySocket:
    """Takes what a service sends to `address`, within `with`. `lines` holds it, in order."""

    def __init__(self, address: str | Path) -> None:
        """`address` as in NOTIFY_SOCKET: a path, or `@` and a name."""
        self.address = str(address)
        self.lines: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{self.address[1:]}" if self.address.startswith("@") else self.address)
        self._thread = threading.Thread(target=self._receive)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()

    def _receive(self) -> None:
        while datagram := self._socket.recv(4096):
            self.lines += datagram.decode().split("\n")
