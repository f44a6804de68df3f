"""Attacks on the ops server and the play server: by many connections, slowly, with bodies, under other names."""

import asyncio
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from recording_worker.errors import ConfigError
from recording_worker.http_server import Answer, HttpServer, Limits, Page
from recording_worker.processes.supervisor.ops_server import OpsServer
from recording_worker.processes.supervisor.status import Status
from recording_worker.settings.secrets import read_token
from tests.builders import FakeClock
from tests.status_page import Host

LIMITS = Limits(connections=10, request=0.5, page=0.5, send=0.5)
LARGE = b"x" * 40_000_000
"""More than the sockets of both ends hold."""

Ask = Callable[[bytes], bytes]


class Server:
    """A server with quick, large and hanging pages."""

    def __init__(self, limits: Limits = LIMITS, token: str | None = None) -> None:
        self.hangs = threading.Event()
        pages = {
            "/healthz": Page(lambda: Answer(b"ok\n"), at_once=True, any_host=True, for_all=True),
            "/page": Page(lambda: Answer(b"page\n")),
            "/large": Page(lambda: Answer(LARGE)),
            "/hangs": Page(self._hang),
            "/fails": Page(self._fail),
        }
        self.http = HttpServer(pages, "127.0.0.1", 0, {"here", ""}.__contains__, limits=limits, token=token)

    def _hang(self) -> Answer:
        self.hangs.wait(60)
        return Answer(b"late\n")

    def _fail(self) -> Answer:
        raise RuntimeError("secret=hunter2")

    def connect(self) -> socket.socket:
        return socket.create_connection(self.http.address, timeout=10)

    def ask(self, request: bytes) -> bytes:
        """Send these bytes, and return all that comes until the server closes."""
        with closing(self.connect()) as client:
            client.sendall(request)
            return read_all(client)

    def close(self) -> None:
        self.hangs.set()
        self.http.close()


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


def read_all(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def get(path: str, host: str = "here", method: str = "GET", headers: str = "") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n".encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def ends(client: socket.socket) -> bool:
    """Return whether the server ends the connection, with an answer or without."""
    try:
        read_all(client)
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    return True


def test_idle_connections_do_not_hold_up_health(server: Server) -> None:
    with ExitStack() as clients:
        for _ in range(5 * LIMITS.connections):
            clients.enter_context(server.connect())
        started = time.monotonic()
        assert server.ask(get("/healthz")).endswith(b"ok\n")
        assert time.monotonic() - started < LIMITS.request, "it did not wait until idle connections timed out"


def send_slowly(client: socket.socket) -> None:
    while True:
        client.sendall(b"G")
        time.sleep(0.05)


def test_a_request_that_never_comes_ends_its_connection(server: Server) -> None:
    with closing(server.connect()) as client:
        assert ends(client)


@pytest.mark.timeout(30)
def test_a_request_that_comes_byte_by_byte_ends_its_connection(server: Server) -> None:
    with closing(server.connect()) as client, pytest.raises(ConnectionError):
        send_slowly(client)


def test_a_client_that_does_not_read_is_left(server: Server) -> None:
    with closing(server.connect()) as client:
        client.sendall(get("/large"))
        time.sleep(3 * LIMITS.send)
        assert len(read_all(client)) < len(LARGE)


def test_a_page_that_hangs_holds_up_neither_health_nor_the_end() -> None:
    server = Server()
    with closing(server.connect()) as client:
        client.sendall(get("/hangs"))
        assert server.ask(get("/healthz")).endswith(b"ok\n")
        assert status(read_all(client)) == 503
    server.http.close()
    server.hangs.set()


def test_pages_after_one_that_hangs_are_refused_and_come_again(server: Server) -> None:
    assert status(server.ask(get("/hangs"))) == 503
    assert status(server.ask(get("/page"))) == 503
    server.hangs.set()
    assert status(server.ask(get("/page"))) == 200


def test_an_error_of_a_page_is_not_shown(server: Server) -> None:
    answer = server.ask(get("/fails"))
    assert status(answer) == 500
    assert b"hunter2" not in answer
    assert b"Traceback" not in answer


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (get("/page", method="POST"), 405),
        (get("/page", method="POST", headers="Content-Length: 4\r\n") + b"body", 405),
        (get("/healthz", method="PUT"), 405),
        (get("/page", method="DELETE"), 405),
        (get("/page", method="OPTIONS"), 405),
        (get("/page", method="TRACE"), 405),
        (get("/page", method="CONNECT"), 405),
        (get("/page", method="get"), 405),
        (get("/page", headers="Content-Length: 4\r\n") + b"body", 413),
        (get("/page", headers="Transfer-Encoding: chunked\r\n") + b"4\r\nbody\r\n0\r\n\r\n", 413),
        (get("/page", headers="Content-Length: 99999999999\r\nExpect: 100-continue\r\n"), 413),
        (get("/page", headers=f"Content-Length: {'9' * 5000}\r\n"), 400),
        (get("/page", headers="Content-Length: -1\r\n"), 400),
        (get("/page", headers="Content-Length: 1\r\nContent-Length: 2\r\n"), 400),
        (get("/page", headers="Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 413),
        (get("/page", host="evil.example"), 421),
        (get("/page", host="evil.example", method="HEAD"), 421),
        (get("/nowhere", host="evil.example"), 421),
        (get("/page", headers="Host: here\r\n"), 400),
        (b"GET /page HTTP/1.1\r\n\r\n", 400),
        (b"GET http://here/page HTTP/1.1\r\nHost: here\r\n\r\n", 404),
        (get("/../page"), 404),
        (get("/page/"), 404),
        (get("/page%00"), 404),
        (get(f"/{'a' * 30_000}"), 431),
        (get("/page", headers=f"X: {'a' * 30_000}\r\n"), 431),
        (get("/page", headers="X: a\r\n" * 5_000), 431),
        (get("/page", headers="Bad Name: a\r\n"), 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"\x00" * 20_000, 400),
        (get("/page", headers="X: a\x00b\r\n"), 400),
    ],
)
def test_what_is_refused(server: Server, request_: bytes, code: int) -> None:
    answer = server.ask(request_)
    assert status(answer) == code
    assert answer.count(b"HTTP/1.1") == 1
    assert b"100 Continue" not in answer
    assert b"page\n" not in answer


def test_what_is_served(server: Server) -> None:
    answer = server.ask(get("/page?query"))
    assert status(answer) == 200
    assert answer.endswith(b"\r\n\r\npage\n")
    assert server.ask(get("/page", method="HEAD")).endswith(b"\r\n\r\n")
    assert server.ask(b"GET /page HTTP/1.0\r\n\r\n").endswith(b"page\n")
    assert len(server.ask(get("/large"))) > len(LARGE)


def test_one_request_a_connection(server: Server) -> None:
    assert server.ask(get("/healthz") * 100).count(b"HTTP/1.1 200") == 1


def test_it_starts_where_another_loop_runs() -> None:
    async def start() -> Server:
        return Server()

    server = asyncio.run(start())
    assert server.ask(get("/page")).endswith(b"page\n")
    server.close()


def test_a_large_body_reaches_no_disk_and_no_memory(server: Server) -> None:
    head = get("/page", method="POST", headers=f"Content-Length: {10**9}\r\n")
    with closing(server.connect()) as client:
        client.sendall(head)
        before = unnamed_files()
        assert client.recv(65536).startswith(b"HTTP/1.1 405")
        with pytest.raises(ConnectionError):
            send_body(client, 1_000)
        assert unnamed_files() == before


def send_body(client: socket.socket, megabytes: int) -> None:
    for _ in range(megabytes):
        client.sendall(b"x" * 1_000_000)


def unnamed_files() -> set[str]:
    """Return the files without a name that this process has open, as tempfile makes them."""
    targets = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the listing's own
            targets.add(str(descriptor.readlink()))
    return {target for target in targets if target.endswith("(deleted)")}


@pytest.fixture
def ops() -> Iterator[OpsServer]:
    ops = OpsServer(Host(READY).pages, "127.0.0.1", 0, ["ops.example", "Worker"], limits=LIMITS)
    yield ops
    ops.close()


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("127.0.0.1:9600", 200),
        ("10.1.2.3", 200),
        ("[::1]:9600", 200),
        ("localhost:9600", 200),
        ("LOCALHOST", 200),
        (socket.gethostname(), 200),
        ("ops.example:80", 200),
        ("worker", 200),
        ("", 200),
        ("evil.example", 421),
        ("evil.example:9600", 421),
        ("localhost.evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("127.0.0.1@evil.example", 421),
        ("ops.example.", 421),
        ("[evil.example]", 421),
    ],
)
def test_the_ops_server_answers_to_its_names_and_addresses(ops: OpsServer, host: str, code: int) -> None:
    for path, expected in (("/metrics", code), ("/readyz", code), ("/", code), ("/healthz", 200)):
        with closing(socket.create_connection(ops.address, timeout=10)) as client:
            client.sendall(get(path, host))
            assert status(read_all(client)) == expected, path


def test_101_idle_connections_do_not_hold_up_the_ops_server(ops: OpsServer) -> None:
    with ExitStack() as clients:
        for _ in range(101):
            clients.enter_context(closing(socket.create_connection(ops.address, timeout=10)))
        for path in ("/healthz", "/readyz", "/metrics"):
            with closing(socket.create_connection(ops.address, timeout=10)) as client:
                client.sendall(get(path, "localhost"))
                assert status(read_all(client)) == 200


READY = Status(FakeClock().monotonic())
TOKEN = "a-token:of-24-characters"


def basic(user_and_password: str) -> str:
    return f"Authorization: Basic {b64encode(user_and_password.encode()).decode()}\r\n"


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (f"Authorization: Bearer {TOKEN}\r\n", 200),
        (f"authorization: bearer {TOKEN}\r\n", 200),
        (basic(f"anyone:{TOKEN}"), 200),
        (basic(f":{TOKEN}"), 200),
        ("", 401),
        ("Authorization:\r\n", 401),
        ("Authorization: Bearer\r\n", 401),
        ("Authorization: Bearer \r\n", 401),
        (f"Authorization: Bearer {TOKEN[:-1]}\r\n", 401),
        (f"Authorization: Bearer {TOKEN}x\r\n", 401),
        (f"Authorization: Bearer {TOKEN.upper()}\r\n", 401),
        (f"Authorization: {TOKEN}\r\n", 401),
        (f"Authorization: Digest {TOKEN}\r\n", 401),
        (f"Cookie: token={TOKEN}\r\n", 401),
        (basic(TOKEN), 401),
        (basic("user:"), 401),
        ("Authorization: Basic !!!\r\n", 401),
        (f"Authorization: Basic {TOKEN}\r\n", 401),
    ],
)
def test_pages_need_the_token(header: str, code: int) -> None:
    server = Server(token=TOKEN)
    with closing(server):
        answer = server.ask(get("/page", headers=header))
        assert status(answer) == code
        assert (b"page\n" in answer) == (code == 200)
        assert (b"\r\nWWW-Authenticate: " in answer) == (code == 401)
        assert status(server.ask(get(f"/page?token={TOKEN}"))) == 401
        assert status(server.ask(get("/nowhere"))) == 401, "which pages there are is not told either"
        assert status(server.ask(get("/healthz"))) == 200


def test_probes_need_no_token_from_the_ops_server() -> None:
    pages = Host(READY).pages
    ops = OpsServer(pages, "127.0.0.1", 0, token=TOKEN)
    found = {}
    with closing(ops):
        for path in pages.by_path:
            with closing(socket.create_connection(ops.address, timeout=10)) as client:
                client.sendall(get(path, "localhost"))
                found[path] = status(read_all(client))
    assert {path for path, code in found.items() if code == 200} == {"/healthz", "/readyz"}
    assert set(found.values()) == {200, 401}


@pytest.mark.parametrize(
    ("host", "token", "warns"),
    [("127.0.0.1", None, 0), ("localhost", None, 0), ("0.0.0.0", None, 1), ("0.0.0.0", TOKEN, 0)],
)
def test_a_warning_if_other_hosts_can_read_the_pages(host: str, token: str | None, warns: int) -> None:
    with capture_logs() as logs:
        OpsServer(Host(READY).pages, host, 0, token=token).close()
    assert [line["log_level"] for line in logs] == ["info"] + ["warning"] * warns


@pytest.mark.parametrize(
    ("content", "token"),
    [
        (f"{TOKEN}\n".encode(), TOKEN),
        (b"", None),
        (b"\n", None),
        (b"short\n", None),
        (b"two words of text here\n", None),
        (b"\xff" * 20, None),
        (b"x" * 15, None),
    ],
)
def test_the_file_of_a_token(tmp_path: Path, content: bytes, token: str | None) -> None:
    file = tmp_path / "token"
    file.write_bytes(content)
    if token is None:
        with pytest.raises(ConfigError, match="holds no token"):
            read_token(file)
    else:
        assert read_token(file) == token
    with pytest.raises(ConfigError, match=r"can't read .*: No such file"):
        read_token(tmp_path / "missing")
