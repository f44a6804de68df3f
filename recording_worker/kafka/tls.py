"""Whether a broker's port speaks TLS: a client that does not know this waits, and only says that it got no answer."""

import socket
import ssl
import time
from collections.abc import Mapping
from typing import Any

_SECONDS = 1.0
"""The longest wait for all ports together."""
_PORTS = 3
"""The most ports to ask. All ports of a cluster speak alike."""
_TLS_RECORDS = (b"\x15", b"\x16")
"""How an answer in TLS begins: with an alert, or with a part of the handshake. See RFC 8446, 5.1."""


def tls_mismatch(config: Mapping[str, Any]) -> str:
    """Return what is wrong if a client with these properties and its brokers differ on TLS; empty if nothing is.

    Asks the brokers, for a second at most.
    """
    protocol = str(config.get("security.protocol", "plaintext")).lower()
    deadline = time.monotonic() + _SECONDS
    for address in config["bootstrap.servers"].split(",")[:_PORTS]:
        speaks = _speaks_tls(address.strip(), deadline - time.monotonic())
        if speaks is None:
            continue
        if speaks == ("ssl" in protocol):
            return ""
        if speaks:
            right = "sasl_ssl" if "sasl" in protocol else "ssl or sasl_ssl"
            return f"this port speaks TLS, and security.protocol is {protocol}: set it to {right}"
        return f"this port does not speak TLS, and security.protocol is {protocol}: name the brokers' port for TLS"
    return ""


def _speaks_tls(address: str, seconds: float) -> bool | None:
    """Return whether a port answers the beginning of a TLS handshake in TLS; None if it can't be asked."""
    host, _, port = address.rpartition(":")
    if seconds <= 0:
        return None
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=seconds) as connection:
            connection.sendall(_client_hello())
            return connection.recv(1) in _TLS_RECORDS
    except ConnectionResetError:
        return False
    except (OSError, ValueError):
        return None


def _client_hello() -> bytes:
    """Return what a client of TLS sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # nothing is said to this server but hello
    sent = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), sent)
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()
    raise AssertionError("a handshake needs an answer")
