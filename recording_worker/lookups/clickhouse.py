"""ClickHouse: asks ClickHouse over HTTP, with parameters that the server puts into the query.

No request changes a setting, so a user with `readonly = 1` is enough. ClickHouse keeps `wait_end_of_query` and the
parameters of a query apart from settings: src/Server/HTTPHandler.cpp in ClickHouse/ClickHouse. `default_format` is a
setting in version 26.9, so the query itself names its format.
"""

import json
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

from recording_worker.errors import ClickHouseError
from recording_worker.settings.model import Settings

_MAX_ANSWER_BYTES = 64 * 1024 * 1024
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\0": "\\0"})
"""How a value of a parameter is written, as in a column of tab-separated text."""

Row = dict[str, Any]


class ClickHouse:
    """One server. Any thread may ask it."""

    def __init__(self, url: str, settings: Settings, max_connections: int = 1) -> None:
        self._url = url
        self._user = settings.clickhouse_user
        self._password_file = settings.clickhouse_password_file
        ca = settings.clickhouse_ca
        self._pool = urllib3.PoolManager(
            num_pools=1,
            maxsize=max_connections,
            block=True,
            retries=False,
            timeout=settings.clickhouse_timeout,
            ca_certs=None if ca is None else str(ca),
        )

    def ask(self, query: str, parameters: Mapping[str, str | int | float]) -> list[Row]:
        """Return the rows of the answer. Raises ClickHouseError."""
        given = {f"param_{name}": str(value).translate(_ESCAPES) for name, value in parameters.items()}
        text = urlencode({"wait_end_of_query": "1", **given}, errors="surrogatepass")
        try:
            status, content = self._post(f"{self._url.rstrip('/')}/?{text}", f"{query}\nFORMAT JSONEachRow")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise ClickHouseError(f"ClickHouse at {self._url} can't be asked: {error}") from error
        if status != 200:
            said = content[:1000].decode(errors="replace").strip().partition("\n")[0]
            raise ClickHouseError(f"ClickHouse at {self._url} answers {status}: {said}")
        try:
            rows: list[Row] = [json.loads(line) for line in content.splitlines()]
        except ValueError as error:
            raise ClickHouseError(f"ClickHouse at {self._url} answers what is no JSON: {error}") from error
        return rows

    def _post(self, url: str, query: str) -> tuple[int, bytes]:
        secret = b64encode(f"{self._user}:{_read(self._password_file)}".encode())
        headers = {"Authorization": f"Basic {secret.decode()}"}
        try:
            return self._post_once(url, query, headers)
        except urllib3.exceptions.ProtocolError:  # the server may have ended a connection that was kept
            return self._post_once(url, query, headers)

    def _post_once(self, url: str, query: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        answer = self._pool.request("POST", url, body=query, headers=headers, redirect=False, preload_content=False)
        try:
            content = answer.read(_MAX_ANSWER_BYTES + 1)
            if len(content) > _MAX_ANSWER_BYTES:
                raise ClickHouseError(f"ClickHouse at {self._url} answers more than {_MAX_ANSWER_BYTES:,} bytes")
            answer.drain_conn()
        except BaseException:
            answer.close()
            raise
        finally:
            answer.release_conn()
        return answer.status, content

    def close(self) -> None:
        self._pool.clear()


def _read(password_file: Path | None) -> str:
    """Return the password. The file is read each time, because passwords are renewed. Raises ClickHouseError."""
    try:
        return "" if password_file is None else password_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise ClickHouseError(f"can't read the password of ClickHouse in {password_file}: {reason}") from None
