"""What all connections to PostgreSQL have in common. Needs psycopg, which an extra brings."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from pydantic import SecretStr

from recording_worker.errors import ConfigError


def conninfo(setting: str, url: SecretStr, **defaults: str | int) -> str:
    """Return what psycopg connects with: the parameters of a URL, and defaults for those that it leaves out.

    Raises ConfigError if the URL can't be parsed. Its text leaves out the URL, which may hold a password.
    """
    try:
        given = conninfo_to_dict(url.get_secret_value())
        for port in str(given.get("port") or "5432").split(","):
            int(port)  # a part of an unquoted password would be taken for it, and shown in errors
    except (psycopg.Error, ValueError):
        raise ConfigError(f"{setting}: not a URL that PostgreSQL's client understands") from None
    return make_conninfo(**{"application_name": "recording-worker", **defaults, **given})  # type: ignore[arg-type] # its names are libpq's


@contextmanager
def deadline(connection: psycopg.Connection, seconds: float) -> Iterator[None]:
    """Cut the connection if the body takes longer: a server that hangs sends nothing that would end the wait.

    What waits for an answer in the body then raises psycopg.OperationalError.
    """
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        timer = threading.Timer(seconds, line.shutdown, (socket.SHUT_RDWR,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            timer.join()
