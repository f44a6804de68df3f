"""The API of `serve` for tests: asked without a network, with tokens of all kinds."""

import asyncio
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import jwt

from recording_worker.clock import SystemClock
from recording_worker.keys.store import KeyStore
from recording_worker.metrics import ServeMetrics
from recording_worker.reading.catalogue import Catalogue
from recording_worker.serving.api import Api, Recorded
from recording_worker.serving.blocks import Blocks
from recording_worker.serving.place import Place
from recording_worker.serving.server import source_of
from recording_worker.serving.tokens import AUDIENCE, Tokens
from recording_worker.serving.upkeep import Upkeep
from recording_worker.settings.load import load_settings
from tests.waiting import wait_for

SECRET = "a-secret-of-the-tests-that-is-long-enough"
OLD_SECRET = "another-secret-of-the-tests-that-is-older"


def token(team_id: object = 1, *, secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    """A token to read of this team. A claim that is None is left out."""
    given = {"team_id": team_id, "op": "read", "aud": AUDIENCE, "exp": time.time() + 60, **claims}
    return jwt.encode({k: v for k, v in given.items() if v is not None}, secret, algorithm=algorithm)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Asked:
    """The API over the files of a folder."""

    def __init__(self, folder: Path, store: KeyStore | None = None, **settings: Any) -> None:
        given = load_settings({"storage_dir": folder, **settings}, None, {})
        self.place = Place(given)
        self.catalogue = Catalogue(folder.parent / f"{folder.name}.sqlite")
        self.metrics = ServeMetrics()
        self.source = source_of(given, self.place, self.catalogue, self.metrics, SystemClock())
        self.upkeep = Upkeep(self.source.tasks, given.not_ready_after, SystemClock())
        self.blocks = Blocks(self.place, self.source, store)
        tokens = Tokens([SECRET, OLD_SECRET], SystemClock())
        self.api = Api(given, self.blocks, self.source, self.upkeep, tokens)
        self.app: Recorded = self.api.app(self.metrics)

    def start(self) -> "Asked":
        self.upkeep.start()
        wait_for(lambda: self.upkeep.can_serve, "the storage is listed")
        return self

    def get(self, path: str, query: str = "", authorization: str | None = None, method: str = "GET") -> Answer:
        """Ask for a path as a client would send it, percent-decoded; with a token of team 1 unless given."""
        given = f"Bearer {token()}" if authorization is None else authorization
        return asyncio.run(self.answer(path, query, given, method))

    def session_ids(self, **query: object) -> list[str]:
        """The sessions of team 1 that the list has, asked once."""
        return [session["session_id"] for session in self._list(query)["sessions"]]

    def session_ids_by_page(self, limit: int) -> list[str]:
        """The same, page by page."""
        page = self._list({"limit": limit})
        listed = page["sessions"]
        while page["next"] is not None:
            page = self._list({"limit": limit, "cursor": page["next"]})
            listed += page["sessions"]
        return [session["session_id"] for session in listed]

    def _list(self, query: Mapping[str, object]) -> Any:
        answer = self.get("/api/projects/1/sessions", urlencode(query))
        assert answer.status == 200, answer.body
        return answer.json

    async def answer(self, path: str, query: str, authorization: str, method: str = "GET") -> Answer:
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode("latin-1"),
            "headers": [(b"host", b"localhost"), (b"authorization", authorization.encode("latin-1"))],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], headers, b"".join(each.get("body", b"") for each in sent[1:]))
