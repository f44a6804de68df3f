"""RedisServer: Redis that keeps nothing when it ends."""

from pathlib import Path

import redis

from tests.servers.child import ServerProcess, answered, require
from tests.servers.ports import free_ports

PASSWORD = "hush-hush"


class RedisServer(ServerProcess):
    def __init__(self, folder: Path, port: int | None = None) -> None:
        """`port`: a free one unless given."""
        super().__init__("Redis", folder / "redis.log")
        self._folder = folder
        self.port = port or free_ports(1)[0]
        self.url = f"redis://default:{PASSWORD}@127.0.0.1:{self.port}/0"
        self.patient_url = f"{self.url}?socket_timeout=20&socket_connect_timeout=20"
        """For tests that would fail if a busy machine delays an answer."""

    def command(self) -> list[str]:
        settings = {
            "port": self.port,
            "bind": "127.0.0.1",
            "requirepass": PASSWORD,
            "save": "",
            "appendonly": "no",
            "dir": str(self._folder),
        }
        options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
        return [require("redis-server", "redis-server"), *options]

    def answers(self) -> bool:
        with self.client() as client:
            return answered(client.ping, redis.ConnectionError)

    def client(self) -> redis.Redis:
        """A client for the test itself: close it, or use it as a context manager."""
        return redis.Redis.from_url(self.url, decode_responses=True)
