"""PostgresServer: PostgreSQL in a folder of its own, with PostHog's table of teams."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg

from tests.servers.child import ServerError, ServerProcess, answered, require
from tests.servers.ports import free_ports

PASSWORD = "hush-hush"
_TABLE = """
CREATE TABLE posthog_team (
    id integer PRIMARY KEY,
    api_token varchar(200),
    capture_console_log_opt_in boolean,
    session_recording_opt_in boolean NOT NULL,
    session_recording_retention_period varchar(10)
)"""
_BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


class PostgresServer(ServerProcess):
    """Run by root it runs as the user postgres, which it insists on; data is not synced to the disk."""

    stop_signal = signal.SIGINT
    """Doesn't wait for its clients."""

    def __init__(self, port: int | None = None) -> None:
        """`port`: a free one unless given."""
        # not below pytest's folder, which nobody else may look into
        self._folder = Path(tempfile.mkdtemp(prefix="recording-worker-postgres-"))
        super().__init__("PostgreSQL", self._folder / "server.log")
        self.port = port or free_ports(1)[0]
        self.url = f"postgresql://recordings:{PASSWORD}@127.0.0.1:{self.port}/postgres"
        self._user: list[str] = []
        if os.geteuid() == 0:
            try:
                postgres = pwd.getpwnam("postgres")
            except KeyError:
                raise ServerError("PostgreSQL does not run as root, and there is no user postgres") from None
            os.chown(self._folder, postgres.pw_uid, postgres.pw_gid)
            ids = [f"--reuid={postgres.pw_uid}", f"--regid={postgres.pw_gid}", "--clear-groups"]
            self._user = [require("setpriv", "util-linux"), *ids]
        self._initialize()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        shutil.rmtree(self._folder)

    def command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "fsync": "off",
            "shared_buffers": "16MB",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        program = require("postgres", "postgresql", *_BINARIES)
        return [*self._user[1:], program, "-D", str(self._folder / "data"), *options]

    def answers(self) -> bool:
        return answered(lambda: self.execute("SELECT 1"), psycopg.OperationalError)

    def execute(self, query: str, *rows: tuple[Any, ...]) -> None:
        """Run a statement, once for each row of parameters, or once."""
        with psycopg.connect(self.url) as connection, connection.cursor() as cursor:
            cursor.executemany(query.encode(), rows or [()])

    def create_teams(self) -> None:
        """An empty table of teams, whatever was there before."""
        self.execute("DROP TABLE IF EXISTS posthog_team")
        self.execute(_TABLE)

    def add_team(
        self, number: int, token: str | None, period: str | None = "30d", *, logs: bool | None = True, on: bool = True
    ) -> None:
        self.execute("INSERT INTO posthog_team VALUES (%s, %s, %s, %s, %s)", (number, token, logs, on, period))

    def _initialize(self) -> None:
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        if os.geteuid() == 0:
            shutil.chown(secret, "postgres")
        command = [*self._user, require("initdb", "postgresql", *_BINARIES), "-D", str(self._folder / "data")]
        command += ["--username=recordings", f"--pwfile={secret}", "--auth=scram-sha-256", "--no-sync", "-E", "UTF8"]
        done = subprocess.run(
            command, cwd=self._folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise ServerError(f"initdb failed: {done.stderr}")
