"""The ops server behind TLS: who may see what with which certificate, and what clients can't hold up."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from recording_worker.errors import ConfigError
from recording_worker.http_server import Limits
from recording_worker.http_tls import ServerTls
from recording_worker.processes.supervisor.ops_server import OpsServer
from recording_worker.processes.supervisor.status import Status
from tests.builders import FakeClock
from tests.servers.certificates import Authority
from tests.status_page import Host

LIMITS = Limits(connections=10, request=2.0, page=2.0, send=0.5)
TOKEN = "a-token:of-24-characters"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"), "authority")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Path:
    return authority.issue("server")


def ops_server(tls: ServerTls, token: str | None = None, host: str = "127.0.0.1") -> OpsServer:
    return OpsServer(Host(Status(FakeClock().monotonic())).pages, host, 0, limits=LIMITS, token=token, tls=tls)


@pytest.fixture
def ops(certificate: Path, authority: Authority) -> Iterator[OpsServer]:
    """A server that wants certificates of the authority."""
    ops = ops_server(ServerTls(certificate, client_ca=authority.file))
    yield ops
    ops.close()


def ask(ops: OpsServer, authority: Authority, path: str = "/metrics", own: Path | None = None, header: str = "") -> int:
    """Return the status of the answer to a client that trusts the authority; 0 if the server ends the connection.

    `own`: the client's certificate.
    """
    context = ssl.create_default_context(cafile=authority.file)
    if own is not None:
        context.load_cert_chain(own)
    plain = socket.create_connection(ops.address, timeout=10)
    with context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{header}\r\n".encode())
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    if not answer:
        return 0
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}\r\n".encode() in head + b"\r\n", "all of it has come"
    return int(answer.split(b" ", 2)[1])


def test_a_client_of_the_authority_sees_all_and_others_see_the_probes(ops: OpsServer, authority: Authority) -> None:
    own = authority.issue("prometheus")
    for path in ("/", "/metrics", "/status.json", "/status.js", "/healthz", "/readyz"):
        assert ask(ops, authority, path, own) == 200
        assert ask(ops, authority, path) == (200 if path in ("/healthz", "/readyz") else 403)
    assert ask(ops, authority, "/nowhere") == 403, "which pages there are is not told either"


def test_a_certificate_of_another_authority_is_refused(
    ops: OpsServer, authority: Authority, stranger: Authority
) -> None:
    with suppress(ssl.SSLError, ConnectionError):
        assert ask(ops, authority, "/healthz", stranger.issue("client")) == 0
    assert ask(ops, authority, "/healthz") == 200


def test_a_client_sees_whether_it_is_this_server(ops: OpsServer, stranger: Authority) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(ops, stranger)


def test_with_a_token_clients_need_both(certificate: Path, authority: Authority) -> None:
    own, header = authority.issue("both"), f"Authorization: Bearer {TOKEN}\r\n"
    with closing(ops_server(ServerTls(certificate, client_ca=authority.file), TOKEN)) as ops:
        assert ask(ops, authority, own=own) == 401
        assert ask(ops, authority, header=header) == 403
        assert ask(ops, authority, own=own, header=header) == 200
    with closing(ops_server(ServerTls(certificate), TOKEN)) as ops:
        assert ask(ops, authority, header=header) == 200
        assert ask(ops, authority, own=own) == 401


def test_idle_and_plain_connections_hold_up_nobody(ops: OpsServer, authority: Authority) -> None:
    with ExitStack() as clients:
        for number in range(5 * LIMITS.connections):
            client = clients.enter_context(closing(socket.create_connection(ops.address, timeout=10)))
            if number % 2:
                client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        started = time.monotonic()
        assert ask(ops, authority, "/healthz") == 200
        assert time.monotonic() - started < LIMITS.request, "it did not wait until idle connections timed out"


def test_a_handshake_that_never_ends_ends_its_connection(ops: OpsServer) -> None:
    with closing(socket.create_connection(ops.address, timeout=10)) as client:
        client.sendall(b"\x16\x03\x01\x02\x00\x01")
        assert client.recv(64) == b""


def test_old_versions_of_tls_are_refused(ops: OpsServer, authority: Authority) -> None:
    context = ssl.create_default_context(cafile=authority.file)
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with closing(socket.create_connection(ops.address, timeout=10)) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="127.0.0.1")


def test_a_certificate_that_is_renewed_is_shown_at_once(tmp_path: Path) -> None:
    old, new = Authority(tmp_path / "old", "old"), Authority(tmp_path / "new", "new")
    file = tmp_path / "server.pem"
    file.write_bytes(old.issue("server").read_bytes())
    with closing(ops_server(ServerTls(file))) as ops:
        assert ask(ops, old) == 200
        with capture_logs() as logs:
            file.write_text("half of it")
            assert ask(ops, old) == ask(ops, old) == 200
            file.write_bytes(new.issue("server").read_bytes())
            assert ask(ops, new) == 200
    assert [line["event"] for line in logs] == [
        "a certificate can't be used: the one before stays",
        "certificate read again",
    ]


@pytest.mark.parametrize(("client_ca", "warns"), [(False, 1), (True, 0)])
def test_a_warning_if_other_hosts_can_read_the_pages(
    certificate: Path, authority: Authority, client_ca: bool, warns: int
) -> None:
    tls = ServerTls(certificate, client_ca=authority.file if client_ca else None)
    with capture_logs() as logs:
        ops_server(tls, host="0.0.0.0").close()
    assert logs[0]["url"].startswith("https://")
    assert [line["log_level"] for line in logs] == ["info"] + ["warning"] * warns


def test_files_that_can_not_be_used_are_named(tmp_path: Path, certificate: Path, authority: Authority) -> None:
    missing, text = tmp_path / "missing.pem", tmp_path / "text.pem"
    text.write_text("no certificate")
    with pytest.raises(ConfigError, match=r"missing\.pem: no certificate with its key.*: No such file"):
        ServerTls(missing)
    with pytest.raises(ConfigError, match=r"text\.pem: no certificate with its key"):
        ServerTls(text)
    with pytest.raises(ConfigError, match=r"server\.pem and .*other\.pem: no certificate with its key.*MISMATCH"):
        ServerTls(certificate, authority.issue("other"))
    with pytest.raises(ConfigError, match=r"text\.pem: no certificates of authorities"):
        ServerTls(certificate, client_ca=text)


def test_an_encrypted_key_asks_nobody(tmp_path: Path, certificate: Path) -> None:
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(certificate.read_bytes(), None)
    encrypted = tmp_path / "key.pem"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"hunter2"),
        )
    )
    with pytest.raises(ConfigError, match="must not be encrypted"):
        ServerTls(certificate, encrypted)
