"""A service that traces sends its spans by OTLP, and stops in time though nobody takes them."""

import gzip
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from confluent_kafka import Producer
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from recording_worker.kafka.embedded import EmbeddedBroker
from tests import builders
from tests.integration.conftest import StartService
from tests.integration.service import TOPIC, Traffic
from tests.servers.ports import free_ports
from tests.waiting import wait_for

TRACE, SENDER = 0xABC, 0xDEF


class Collector(ThreadingHTTPServer):
    """Takes spans, as a collector of OpenTelemetry does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taker)
        self.spans: list[Span] = []
        self.services: set[str] = set()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Taker(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.server.services.add(named["service.name"])
            self.server.spans.extend(span for scope in resource.scope_spans for span in scope.spans)
        self.send_response(200)
        self.end_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


def test_polls_and_flushes_are_traced_with_links_to_their_senders(
    broker: EmbeddedBroker, start: StartService, traffic: Traffic, collector: Collector
) -> None:
    service = start(tracing=True, environment={"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint})
    service.wait_until_ready()
    parent = f"00-{TRACE:032x}-{SENDER:016x}-01".encode()
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    value = builders.value([builders.event(builders.NOW_MS)], session_id="s")
    producer.produce(TOPIC, value, headers=[*builders.headers(session_id="s"), ("traceparent", parent)])
    assert producer.flush(10) == 0
    traffic.send(60)
    wait_for(lambda: sum(service.counts("messages_total").values()) == 61, "all to be recorded")
    assert service.stop() == 0
    assert collector.services == {"recording-worker"}
    polls = {span.span_id: span for span in collector.spans if span.name == f"process {TOPIC}"}
    flushes = [span for span in collector.spans if span.name == "flush"]
    assert [[link.trace_id.hex(), link.span_id.hex()] for poll in polls.values() for link in poll.links] == [
        [f"{TRACE:032x}", f"{SENDER:016x}"]
    ]
    assert {link.span_id for flush in flushes for link in flush.links} == polls.keys(), "the last ones were sent too"


def test_a_collector_that_is_away_does_not_hold_up_a_stop(start: StartService, traffic: Traffic) -> None:
    [port] = free_ports(1)
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}"}
    service = start(tracing=True, environment=environment, drain_deadline=10.0)
    service.wait_until_ready()
    traffic.send(60)
    traffic.wait_until_committed()
    assert service.stop() == 0
