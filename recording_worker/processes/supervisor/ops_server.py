"""The ops server: /metrics, /healthz, /readyz and a status page, in a thread of the supervisor."""

import re
import socket
from collections.abc import Callable, Iterable
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any

import orjson
import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from recording_worker.clock import Clock
from recording_worker.errors import BootError
from recording_worker.http_server import CSS, HTML, JAVASCRIPT, JSON, LIMITS, Answer, HttpServer, Limits, Page
from recording_worker.http_tls import ServerTls
from recording_worker.processes.supervisor.document import StatusDocument
from recording_worker.processes.supervisor.page import HEADERS, asset, whole_page
from recording_worker.processes.supervisor.status import Status
from recording_worker.processes.supervisor.status_metrics import StatusCollector
from recording_worker.redaction import redact

log = structlog.get_logger()

_HANGING_SECONDS = 60.0
"""A supervisor whose loop did not turn for this long is not healthy. It is longer than any request the loop makes."""


class OpsPages:
    """What the ops server serves."""

    def __init__(
        self, status: Callable[[], Status], clock: Clock, registry: CollectorRegistry, document: StatusDocument
    ) -> None:
        """`/metrics` serves what is in `registry`, and what `status` says of partitions and dependencies."""
        self._status = status
        self._document = document
        self._clock = clock
        self._registry = registry
        self._registry.register(StatusCollector(status))
        style, script = Answer(asset("status.css"), CSS), Answer(asset("status.js"), JAVASCRIPT)
        self.by_path = {
            "/": Page(self._page),
            "/status.json": Page(self._json),
            "/status.css": Page(lambda: style),
            "/status.js": Page(lambda: script),
            "/metrics": Page(self._metrics),
            "/healthz": Page(self._health, at_once=True, any_host=True, for_all=True),
            "/readyz": Page(self._ready, at_once=True, for_all=True),
        }

    def _metrics(self) -> Answer:
        return Answer(generate_latest(self._registry), CONTENT_TYPE_LATEST)

    def _health(self) -> Answer:
        hangs = self._hangs()
        return _unavailable(hangs) if hangs else Answer(b"ok\n")

    def _ready(self) -> Answer:
        reasons = self._status().reasons
        return _unavailable(redact("\n".join(reasons))) if reasons else Answer(b"ready\n")

    def _page(self) -> Answer:
        return Answer(redact(whole_page(self._known()).decode()).encode(), HTML)

    def _json(self) -> Answer:
        return Answer(redact(orjson.dumps(self._known()).decode()).encode(), JSON)

    def _known(self) -> dict[str, Any]:
        return self._document.of(self._status(), self._hangs())

    def _hangs(self) -> str:
        """Return what is wrong with the supervisor's loop; empty if it turns."""
        silent = self._clock.monotonic() - self._status().at
        return f"the supervisor's loop hangs since {silent:.0f} s" if silent > _HANGING_SECONDS else ""


def _unavailable(reason: str) -> Answer:
    return Answer(f"{reason}\n".encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)


class OpsServer:
    """Serves the pages. Raises BootError if the address can't be used.

    `host_names`: further names of this host that requests may use. `token`, and the certificates of `tls`: what
    requests need for all pages but /healthz and /readyz.
    """

    def __init__(
        self,
        pages: OpsPages,
        host: str,
        port: int,
        host_names: Iterable[str] = (),
        limits: Limits = LIMITS,
        token: str | None = None,
        tls: ServerTls | None = None,
    ) -> None:
        self._names = {name.lower() for name in ("localhost", socket.gethostname(), host, *host_names)}
        try:
            self._server = HttpServer(pages.by_path, host, port, self._is_allowed, HEADERS, limits, token, tls)
        except BootError as error:
            raise BootError(f"ops server: {error}") from None
        self.address = self._server.address
        scheme = "http" if tls is None else "https"
        log.info("ops server", url=f"{scheme}://{self.address[0]}:{self.address[1]}/")
        is_open = token is None and not (tls and tls.needs_certificates)
        if is_open and not ip_address(self.address[0].partition("%")[0]).is_loopback:
            log.warning("other hosts can read metrics and the status page: set ops_token_file, or a network policy")

    def close(self) -> None:
        self._server.close()

    def _is_allowed(self, host: str) -> bool:
        """Return whether a request may name this host.

        A web site whose name is made to point here (DNS rebinding) could read the pages through a visitor's browser.
        Its requests come with that name. So addresses are allowed, and names only if they are known.
        """
        name = re.sub(r":\d*$", "", host).strip("[]").lower()
        return not name or name in self._names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
