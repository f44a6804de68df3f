"""Canary: a server that records every connection, to show that a page makes none."""

import socket
import threading

ADDRESS = "127.77.0.1"
"""An address of this machine that nothing else uses, so every connection is meant for the canary."""


class Canary:
    """Listens on a port of ADDRESS. Records what each connection asks for, and gives an empty answer."""

    def __init__(self) -> None:
        self._socket = socket.create_server((ADDRESS, 0))
        self._thread = threading.Thread(target=self._run)
        self.heard: list[str] = []
        """The first line of each connection; empty if it sent nothing."""
        self.spoke = threading.Event()
        """Set by the first connection."""

    def url(self, path: str = "", host: str = "evil.test") -> str:
        return f"http://{host}:{self._socket.getsockname()[1]}/{path}"

    def __enter__(self) -> "Canary":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(0.5)
                try:
                    said = connection.recv(2000)
                    connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                except OSError:
                    said = b""
            self.heard.append(said.split(b"\r\n")[0].decode("latin-1"))
            self.spoke.set()
