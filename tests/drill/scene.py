"""A service on real servers, a Prometheus that watches it, and ten things that go wrong."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import hooks
from tests.integration.service import Service
from tests.integration.test_run_exactly_once import Recording
from tests.servers.faulty_proxy import FaultyProxy
from tests.servers.kafka import KafkaServer
from tests.servers.postgres import PostgresServer
from tests.servers.redis import RedisServer
from tests.servers.s3 import RcloneServer


@dataclass(frozen=True)
class Servers:
    """What the service works with."""

    kafka: KafkaServer
    s3: RcloneServer
    proxy: FaultyProxy
    """In front of S3."""
    postgres: PostgresServer
    redis: RedisServer


class Scene:
    """A service that records, in a state that tests spoil."""

    def __init__(self, folder: Path, servers: Servers, recording: Recording) -> None:
        self.folder = folder
        self.servers = servers
        self.recording = recording
        self.disk = folder / "disk"
        """A small file system for batch files, for those that want one."""
        self.disk.mkdir()
        self.service: Service

    def start(self, *, on_disk: bool, environment: Mapping[str, str]) -> None:
        """`on_disk`: store in the folder, not in S3."""
        servers = self.servers
        bucket = {"storage": servers.s3.new_bucket().url, "s3_endpoint": servers.proxy.endpoint}
        storage = {"storage_dir": str(self.disk)} if on_disk else bucket
        self.service = self.recording.start(
            any_token=False,
            teams_postgres=f"{servers.postgres.url}?connect_timeout=2",
            refresh_interval=1.0,
            restrictions_redis=servers.redis.url,
            sessions_redis=servers.redis.url,
            not_ready_after=2.0,
            environment=environment,
            **storage,
        )
        self.service.wait_until_ready()

    @contextmanager
    def traffic(self, text: str = "", age: float = 0.0) -> Iterator[None]:
        """Send messages all the time."""
        over = threading.Event()

        def send() -> None:
            while not over.wait(0.1):
                self.recording.traffic.send(12, text, age=age)

        thread = threading.Thread(target=send)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@contextmanager
def broker_killed(scene: Scene) -> Iterator[None]:
    with scene.servers.kafka.killed():
        yield


@contextmanager
def broker_frozen(scene: Scene) -> Iterator[None]:
    with scene.servers.kafka.paused():
        yield


@contextmanager
def s3_refused(scene: Scene) -> Iterator[None]:
    with scene.servers.s3.killed(), scene.traffic():
        yield


@contextmanager
def s3_slow(scene: Scene) -> Iterator[None]:
    scene.servers.proxy.delay = 6.0
    try:
        with scene.traffic():
            yield
    finally:
        scene.servers.proxy.delay = 0.0


@contextmanager
def redis_away(scene: Scene) -> Iterator[None]:
    with scene.servers.redis.killed():
        yield


@contextmanager
def postgres_away(scene: Scene) -> Iterator[None]:
    with scene.servers.postgres.killed():
        yield


@contextmanager
def worker_killed(scene: Scene) -> Iterator[None]:
    os.kill(scene.service.worker_pids()[0], signal.SIGKILL)
    yield


@contextmanager
def poison_message(scene: Scene) -> Iterator[None]:
    scene.recording.traffic.send(1, hooks.CRASH)
    yield


@contextmanager
def disk_full(scene: Scene) -> Iterator[None]:
    ballast = scene.disk / "ballast"
    with ballast.open("wb") as file, suppress(OSError):
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    scene.recording.traffic.send(12, os.urandom(20_000).hex())
    try:
        yield
    finally:
        ballast.unlink()


@contextmanager
def slow_consumer(scene: Scene) -> Iterator[None]:
    """More comes in than the workers take: they get no CPU."""
    pids = scene.service.worker_pids().values()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        scene.recording.traffic.send(20_000)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@dataclass(frozen=True)
class Trouble:
    """Something that goes wrong, and where it is seen."""

    cause: Callable[[Scene], AbstractContextManager[None]]
    alert: str
    log: str
    """What a line of the log begins with."""
    metric: Callable[[Service], bool]
    page: Callable[[dict[str, Any]], bool]
    """Whether /status.json, which the page shows, says it."""

    def __str__(self) -> str:
        return self.cause.__name__
