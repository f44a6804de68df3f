"""`recording-worker serve` as a process: a client like PostHog's reads whole sessions, slow clients are ended."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from confluent_kafka import Producer

from benchmarks.contenders.node import prepare_node
from recording_worker.kafka.embedded import EmbeddedBroker
from recording_worker.reading.batch_files import read_blocks
from recording_worker.reading.session_events import session_lines
from recording_worker.storage.local.file import find_files
from tests.batch_files import block, block_url, line, undamaged, write_batch_file
from tests.integration.command import run, start
from tests.integration.test_encryption import MARKER, SESSIONS, Recordings
from tests.sample import SAMPLE
from tests.servers.postgres import PostgresServer
from tests.servers.s3 import MotoServer, use_credentials
from tests.serving import SECRET, token
from tests.waiting import wait_for

CLIENT = Path(__file__).with_name("recording_api.mjs")
TOPIC = "replay_events"


class Server:
    """A running `serve`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.port = urlsplit(url).port or 0

    def get(self, path: str, team: int = 1, **query: object) -> tuple[int, Any]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", f"{path}?{urlencode(query)}", headers={"Authorization": f"Bearer {token(team)}"})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if text.startswith(b"{") else text

    def sessions(self, team: int = 1) -> list[str]:
        status, answer = self.get(f"/api/projects/{team}/sessions", team, limit=1000)
        assert status == 200
        return sorted(session["session_id"] for session in answer["sessions"])

    def is_ready(self) -> bool:
        return self.get("/readyz")[0] == 200


@contextmanager
def serving(folder: Path, *arguments: str | Path) -> Iterator[Server]:
    (folder / "secret").write_text(SECRET)
    given = ("--serve-port", "0", "--serve-secret-file", folder / "secret", "--serve-index", folder / "index.sqlite")
    with start("serve", *given, *arguments) as process:
        try:
            assert process.stdout is not None
            server = Server(process.stdout.readline().strip())
            assert server.port, process.communicate(timeout=10)
            wait_for(server.is_ready, "serve is ready")
            yield server
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                _, log = process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
        assert process.returncode == 0, log
        assert SECRET not in log
        assert " Traceback" not in log, log


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample as zstd files."""
    folder = tmp_path_factory.mktemp("recorded")
    assert run("ingest", SAMPLE, "--out", folder, "--any-token").code == 0
    return folder


def expected(recorded: Path) -> dict[tuple[int, str], list[bytes]]:
    """(team, session) → its lines, by the product's own reader."""
    blocks: dict[tuple[int, str], list[Any]] = {}
    for found in read_blocks(find_files([str(recorded / "blocks")])):
        assert isinstance(found, list)
        for each in found:
            blocks.setdefault((each.entry.team_id, each.entry.session_id), []).append(each)
    return {session: list(session_lines(of, undamaged)) for session, of in blocks.items()}


def assert_whole_sessions(
    tmp_path: Path, arguments: Sequence[str | Path], lines: Mapping[tuple[int, str], Sequence[bytes]]
) -> None:
    """A client like PostHog's must read these lines of each session, and the list must have all of them."""
    node, script = prepare_node()
    with serving(tmp_path, *arguments) as server:
        for team in {team for team, _ in lines}:
            assert server.sessions(team) == sorted(session for of, session in lines if of == team)
        request = {"url": server.url, "secret": SECRET, "sessions": sorted(lines)}
        done = subprocess.run(
            [node, str(CLIENT), str(script.parent)],
            input=json.dumps(request),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    for session, answer in zip(sorted(lines), done.stdout.removesuffix("\n").split("\n"), strict=True):
        unpacked, as_lines = json.loads(answer)
        assert unpacked == as_lines
        assert sorted(unpacked.removesuffix("\n").encode().split(b"\n")) == sorted(lines[session])


@pytest.mark.parametrize("storage", ["folder", "s3"])
def test_a_client_like_posthogs_reads_whole_sessions(
    recorded: Path, tmp_path: Path, moto: MotoServer, monkeypatch: pytest.MonkeyPatch, storage: str
) -> None:
    lines = expected(recorded)
    arguments: list[str | Path] = ["--storage-dir", recorded]
    if storage == "s3":
        use_credentials(monkeypatch)
        bucket = moto.new_bucket()
        for path in (recorded / "blocks").rglob("*-*"):
            bucket.client.put_object(
                Bucket=bucket.name, Key=f"a/{path.relative_to(recorded).as_posix()}", Body=path.read_bytes()
            )
        arguments = ["--storage", f"{bucket.url}/a", "--s3-endpoint", moto.endpoint]
    assert_whole_sessions(tmp_path, arguments, lines)


def test_a_slow_client_is_ended_and_others_are_served(recorded: Path, tmp_path: Path) -> None:
    with serving(tmp_path, "--storage-dir", recorded) as server, ExitStack() as opened:
        began = time.monotonic()
        address = "127.0.0.1", server.port
        slow = [opened.enter_context(socket.create_connection(address, timeout=30)) for _ in range(20)]
        for number, client in enumerate(slow):
            client.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: "[: number * 2])
        assert server.is_ready()
        for client in slow:
            try:
                assert client.recv(100) == b""
            except ConnectionResetError:
                continue
        assert time.monotonic() - began < 25
        assert server.is_ready()


def test_no_bytes_make_it_fail(recorded: Path, tmp_path: Path) -> None:
    """Requests as no client sends them, and a right one with some bytes changed."""
    end = f" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token()}\r\n\r\n".encode()
    project = b"/api/projects/1"
    paths = [b"/\xff", b"*", b"http://elsewhere" + project + b"/sessions", b"/" + project + b"/sessions"]
    paths += [
        project + b"/recordings/" + name + b"/blocks" for name in (b"%ff%fe", b"%ed%a0%80", b"a%00b", b"%2e%2e%2f")
    ]
    paths += [
        project + b"/sessions?" + query for query in (b"\xff", b"user=%ff", b"a=1&" * 3000, b"#", b"cursor=1e999:x")
    ]
    random, sent = Random(1), [b"GET " + path + end for path in paths]
    for _ in range(300):
        right = bytearray(b"GET " + project + b"/recordings/x/block?key=k&start_byte=0&end_byte=1" + end)
        for _ in range(random.randint(1, 4)):
            at = random.randrange(len(right))
            right[at : at + random.randint(0, 3)] = random.randbytes(random.randint(0, 3))
        sent.append(bytes(right))
    with serving(tmp_path, "--storage-dir", recorded) as server:
        for request in sent:
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
                client.sendall(request)
                client.shutdown(socket.SHUT_WR)
                try:
                    answer = client.makefile("rb").readline()
                except ConnectionResetError:  # the server is not interested in the rest
                    continue
            assert not answer.startswith(b"HTTP/1.1 5"), (request, answer)
        assert server.is_ready()


def test_the_metadata_topic_tells_of_new_files_and_of_deleted_sessions(tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    write_batch_file(storage, block([(1, [line(1)])], "old"), block([(2, [line(2)])], "doomed"))
    with EmbeddedBroker() as broker:
        broker.create_topic(TOPIC, 2)
        producer = Producer({"bootstrap.servers": broker.bootstrap_servers})

        def tell(session: str, **fields: object) -> None:
            times = {"first_timestamp": "2026-11-18 11:06:40.000", "last_timestamp": "2026-11-18 11:06:40.000"}
            producer.produce(TOPIC, json.dumps({"session_id": session, "team_id": 1, **times, **fields}))
            producer.produce(TOPIC, b"not a record")
            assert producer.flush(10) == 0

        tell("doomed", is_deleted=True)
        follow = ("--serve-follow", "--bootstrap-servers", broker.bootstrap_servers, "--metadata-topic", TOPIC)
        arguments = ("--storage-dir", storage, "--serve-list-interval", "1h", *follow)
        with serving(tmp_path, *arguments) as server:
            assert server.sessions() == ["old"], "what was deleted before is known before anything is served"
            path = write_batch_file(storage, fresh := block([(3, [line(3)])], "new"))
            tell("new", block_url=block_url(path.as_uri(), fresh[0]))
            tell("elsewhere", block_url=block_url("file:///etc/passwd", fresh[0]))
            wait_for(lambda: server.sessions() == ["new", "old"], "the new file is listed")
            key = path.relative_to(storage).as_posix()
            last = fresh[0].start + fresh[0].length - 1
            where: dict[str, Any] = {"key": key, "start_byte": fresh[0].start, "end_byte": last, "decompress": "true"}
            status, text = server.get("/api/projects/1/recordings/new/block", **where)
            assert (status, text) == (200, line(3) + b"\n")
            tell("new", is_deleted=True)
            wait_for(lambda: server.sessions() == ["old"], "the deletion is known")
            status, answer = server.get("/api/projects/1/recordings/new/block", **where)
            assert (status, answer["error"]) == (410, "recording_deleted")
        with serving(tmp_path, "--storage-dir", storage) as server:
            assert server.sessions() == ["old"], "what was deleted is never forgotten"


def test_encrypted_sessions_are_served_until_they_are_deleted(tmp_path: Path, postgres: PostgresServer) -> None:
    recordings = Recordings(tmp_path, postgres, "zstd")
    recordings.ingest(recordings.out)
    team = recordings.team_id
    with (
        closing(recordings.store),
        serving(tmp_path, "--storage-dir", recordings.out, *recordings.key_settings) as server,
    ):
        assert server.sessions(team) == sorted(SESSIONS)
        _, listed = server.get(f"/api/projects/{team}/recordings/one/blocks", team)
        (place,) = listed["blocks"]
        where = {name: place[name] for name in ("key", "start_byte", "end_byte")}
        path = f"/api/projects/{team}/recordings/one/block"
        status, text = server.get(path, team, **where, decompress="true")
        assert (status, text.count(MARKER.encode())) == (200, 4)
        recordings.store.destroy((team, "one"), "ann", 1_800_000_000)
        gone = {"error": "recording_deleted", "deleted_at": 1_800_000_000, "deleted_by": "ann"}
        assert server.get(path, team, **where, decompress="true") == (410, gone)
        assert server.sessions(team) == sorted({*SESSIONS} - {"one"})


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (
            ["--storage-dir", "."],
            2,
            "no secret: say with --serve-secret-file which file holds what tokens are signed with",
        ),
        (["--serve-secret-file", "SECRET"], 2, "no storage: say where batch files are with --storage-dir DIR or"),
        (["--serve-secret-file", "nowhere", "--storage-dir", "."], 2, "can't read nowhere: No such file or directory"),
        (["--serve-secret-file", "SECRET", "--storage-dir", ".", "--serve-host", "203.0.113.1"], 3, "can't listen on"),
    ],
)
def test_what_keeps_it_from_starting(tmp_path: Path, arguments: list[str], code: int, error: str) -> None:
    (tmp_path / "secret").write_text(SECRET)
    given = [argument.replace("SECRET", str(tmp_path / "secret")) for argument in arguments]
    done = run("serve", *given, XDG_CACHE_HOME=str(tmp_path))
    assert done.code == code
    assert done.error.startswith(error)
