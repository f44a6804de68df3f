"""What is said if a client and a port differ on TLS."""

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from recording_worker.kafka.tls import tls_mismatch
from tests.servers.certificates import Authority

Talk = Callable[[socket.socket], None]

SPEAKS_TLS = "this port speaks TLS, and security.protocol is plaintext: set it to ssl or sasl_ssl"
SPEAKS_NO_TLS = "this port does not speak TLS, and security.protocol is sasl_ssl: name the brokers' port for TLS"


@contextmanager
def port(talk: Talk) -> Iterator[str]:
    """Listen, and talk to the first who connects. Gives the address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            with suppress(OSError):
                connection, _ = listening.accept()
                with connection:
                    talk(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        host, number = listening.getsockname()
        yield f"{host}:{number}"
        with suppress(OSError):
            listening.shutdown(socket.SHUT_RDWR)
        thread.join()


def closes(connection: socket.socket) -> None:
    connection.recv(4)


def answers_in_plain(connection: socket.socket) -> None:
    connection.recv(4)
    connection.sendall(b"\x00\x00\x00\x04what")


def says_nothing(connection: socket.socket) -> None:
    while connection.recv(1024):
        pass


def speaks_tls(folder: Path, *, wants_certificate: bool = False, newest: bool = True) -> Talk:
    authority = Authority(folder, "authority")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("server"))
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED if wants_certificate else ssl.CERT_NONE
    if not newest:
        context.maximum_version = ssl.TLSVersion.TLSv1_2

    def talk(connection: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(connection, server_side=True):
            pass

    return talk


def mismatch(servers: str, **properties: Any) -> str:
    return tls_mismatch(
        {"bootstrap.servers": servers, **{name.replace("_", "."): at for name, at in properties.items()}}
    )


@pytest.mark.parametrize("wants_certificate", [False, True])
@pytest.mark.parametrize("newest", [False, True])
def test_a_plain_client_and_a_port_that_speaks_tls(tmp_path: Path, wants_certificate: bool, newest: bool) -> None:
    talk = speaks_tls(tmp_path, wants_certificate=wants_certificate, newest=newest)
    with port(talk) as address:
        assert mismatch(address) == SPEAKS_TLS
    with port(talk) as address:
        assert mismatch(address, security_protocol="SSL") == ""
    with port(talk) as address:
        assert mismatch(address, security_protocol="sasl_plaintext").endswith("is sasl_plaintext: set it to sasl_ssl")


@pytest.mark.parametrize("talk", [closes, answers_in_plain])
def test_a_client_of_tls_and_a_port_that_does_not_speak_it(talk: Talk) -> None:
    with port(talk) as address:
        assert mismatch(address, security_protocol="SASL_SSL") == SPEAKS_NO_TLS
    with port(talk) as address:
        assert mismatch(address) == ""


def test_a_port_that_says_nothing_and_one_that_is_not_there_are_not_judged() -> None:
    with port(says_nothing) as address, socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        nowhere = f"127.0.0.1:{taken.getsockname()[1]}"
        started = time.monotonic()
        for protocol in ("plaintext", "ssl"):
            assert mismatch(nowhere, security_protocol=protocol) == ""
        assert mismatch(f"{nowhere},no.such.invalid:1,{address},{address}") == ""
        assert time.monotonic() - started < 5


def test_the_first_port_that_answers_decides(tmp_path: Path) -> None:
    with socket.socket() as taken, port(speaks_tls(tmp_path)) as address:
        taken.bind(("127.0.0.1", 0))
        assert mismatch(f"127.0.0.1:{taken.getsockname()[1]}, {address}") == SPEAKS_TLS
