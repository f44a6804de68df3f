"""The ops server: /metrics, /healthz, /readyz and a status page, in a thread of the supervisor."""

import re
import socket
from collections.abc import Callable, Iterable
from html import escape
from http import HTTPStatus
from ipaddress import ip_address

import structlog
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

from recording_worker.clock import Clock
from recording_worker.errors import BootError
from recording_worker.formats.timestamps import utc_text
from recording_worker.http_server import HTML, LIMITS, Answer, HttpServer, Limits, Page
from recording_worker.processes.supervisor.status import PartitionStatus, Status, WorkerStatus
from recording_worker.processes.supervisor.status_metrics import StatusCollector
from recording_worker.redaction import redact

log = structlog.get_logger()

_HANGING_SECONDS = 60.0
"""A supervisor whose loop did not turn for this long is not healthy. It is longer than any request the loop makes."""


class OpsPages:
    """What the ops server serves."""

    def __init__(self, status: Callable[[], Status], clock: Clock, registry: CollectorRegistry) -> None:
        """`/metrics` serves what is in `registry`, and what `status` says of the partitions."""
        self._status = status
        self._clock = clock
        self._registry = registry
        self._registry.register(StatusCollector(status))
        self.by_path = {
            "/": Page(self._page),
            "/metrics": Page(self._metrics),
            "/healthz": Page(self._health, at_once=True, any_host=True, for_all=True),
            "/readyz": Page(self._ready, at_once=True, for_all=True),
        }

    def _metrics(self) -> Answer:
        return Answer(generate_latest(self._registry), CONTENT_TYPE_LATEST)

    def _health(self) -> Answer:
        silent = self._clock.monotonic() - self._status().at
        if silent > _HANGING_SECONDS:
            return _unavailable(f"the supervisor's loop hangs since {silent:.0f} s")
        return Answer(b"ok\n")

    def _ready(self) -> Answer:
        reasons = self._status().reasons
        return _unavailable(redact("\n".join(reasons))) if reasons else Answer(b"ready\n")

    def _page(self) -> Answer:
        return Answer(redact(render_page(self._status())).encode(), HTML)


def _unavailable(reason: str) -> Answer:
    return Answer(f"{reason}\n".encode(), status=HTTPStatus.SERVICE_UNAVAILABLE)


class OpsServer:
    """Serves the pages. Raises BootError if the address can't be used.

    `host_names`: further names of this host that requests may use. `token`: what requests need for all pages but
    /healthz and /readyz.
    """

    def __init__(
        self,
        pages: OpsPages,
        host: str,
        port: int,
        host_names: Iterable[str] = (),
        limits: Limits = LIMITS,
        token: str | None = None,
    ) -> None:
        self._names = {name.lower() for name in ("localhost", socket.gethostname(), host, *host_names)}
        try:
            self._server = HttpServer(pages.by_path, host, port, self._is_allowed, limits=limits, token=token)
        except BootError as error:
            raise BootError(f"ops server: {error}") from None
        self.address = self._server.address
        log.info("ops server", url=f"http://{self.address[0]}:{self.address[1]}/")
        if token is None and not ip_address(self.address[0].partition("%")[0]).is_loopback:
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


def render_page(status: Status) -> str:
    """The status page."""
    state = f"not ready: {'; '.join(status.reasons)}" if status.reasons else "ready"
    return _PAGE.format(
        state=escape(state),
        until=_until_text(status.recorded_until),
        dependencies="".join(
            f"<br>{escape(each.dependency.title)}: {escape(str(each))}" for each in status.dependencies
        ),
        workers="".join(_worker_row(worker, status.partitions) for worker in status.workers),
        partitions="".join(_partition_row(partition) for partition in status.partitions),
    )


def _until_text(second: int | None) -> str:
    return "nothing yet" if second is None else f"{utc_text(second * 1000)[:19]} UTC"


def _worker_row(worker: WorkerStatus, partitions: Iterable[PartitionStatus]) -> str:
    held = " ".join(str(partition.number) for partition in partitions if partition.worker == worker.number)
    return _row(worker.number, worker.pid, worker.state, held, worker.last_flush, worker.restarts)


def _partition_row(at: PartitionStatus) -> str:
    return _row(at.number, at.worker, at.committed, at.position, at.high, at.lag, at.note)


def _row(*cells: object) -> str:
    return "<tr>" + "".join(f"<td>{'-' if cell is None else escape(str(cell))}</td>" for cell in cells) + "</tr>\n"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>recording-worker</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem; }}
table {{ border-collapse: collapse; margin-bottom: 2rem; }}
caption {{ text-align: left; font-weight: bold; }}
th, td {{ text-align: left; padding: 0.2rem 1.2rem 0.2rem 0; border-bottom: 1px solid #ddd; }}
td {{ font-variant-numeric: tabular-nums; }}
</style>
</head>
<body>
<h1>recording-worker: {state}</h1>
<p>Recorded until: {until}{dependencies}</p>
<table>
<caption>Workers</caption>
<tr><th>worker</th><th>pid</th><th>state</th><th>partitions</th><th>last flush</th><th>restarts</th></tr>
{workers}</table>
<table>
<caption>Partitions</caption>
<tr><th>partition</th><th>worker</th><th>committed</th><th>next to read</th><th>log end</th><th>lag</th>
<th>note</th></tr>
{partitions}</table>
<p><a href="/metrics">metrics</a> · <a href="/healthz">health</a> · <a href="/readyz">readiness</a></p>
</body>
</html>
"""
