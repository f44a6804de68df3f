"""SpanTracing: polls and flushes as OpenTelemetry spans.

The OTEL_… variables of OpenTelemetry say where spans go, and which of them. Names of attributes that begin with
`messaging.` follow OpenTelemetry's semantic conventions for messaging.
"""

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import islice

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from recording_worker import __version__
from recording_worker._native import HeaderColumn
from recording_worker.tracing.base import Attributes

_MAX_LINKS = 128
"""Links of a span: the SDK keeps as many. Senders choose how many different contexts there are."""
_CLOSE_SECONDS = 2.0
"""How long the end of a process may wait for its last spans to be sent."""
_CONTEXTS = TraceContextTextMapPropagator()


class SpanTracing:
    """Makes a span of each poll that has messages, and of each flush. Polls link to the senders, flushes to polls."""

    def __init__(self, provider: TracerProvider) -> None:
        self._tracer = provider.get_tracer("recording_worker", __version__)
        self._polled: deque[SpanContext] = deque(maxlen=_MAX_LINKS)
        """The polls since the last session batch was handed over."""
        self._handed_over: dict[str, list[SpanContext]] = {}
        """Session batch for the flush thread → its polls."""

    def poll(self, topic: str, headers: HeaderColumn, /) -> AbstractContextManager[Attributes]:
        return self._poll(topic, headers) if len(headers) else nullcontext({})

    def hand_over(self, batch_id: str, /) -> None:
        self._handed_over[batch_id] = list(self._polled)
        self._polled.clear()

    @contextmanager
    def flush(self, batch_id: str, reason: str, /) -> Iterator[Attributes]:
        polls = self._handed_over.pop(batch_id, [])
        given: Attributes = {"recording.batch_id": batch_id, "recording.flush.reason": reason}
        with self._span("flush", SpanKind.INTERNAL, given, polls) as (_, attributes):
            yield attributes

    @contextmanager
    def _poll(self, topic: str, headers: HeaderColumn) -> Iterator[Attributes]:
        given: Attributes = {
            "messaging.system": "kafka",
            "messaging.operation.type": "process",
            "messaging.destination.name": topic,
            "messaging.batch.message_count": len(headers),
        }
        with self._span(f"process {topic}", SpanKind.CONSUMER, given, senders(headers)) as (context, attributes):
            self._polled.append(context)
            yield attributes

    @contextmanager
    def _span(
        self, name: str, kind: SpanKind, given: Attributes, links: list[SpanContext]
    ) -> Iterator[tuple[SpanContext, Attributes]]:
        """Make a span around the body. If that raises, the span names the kind of error. The log has its text."""
        attributes: Attributes = {}
        with self._tracer.start_as_current_span(
            name,
            kind=kind,
            attributes=given,
            links=[Link(context) for context in links],
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield span.get_span_context(), attributes
            except BaseException as error:
                span.set_status(StatusCode.ERROR, type(error).__name__)
                raise
            finally:
                span.set_attributes(attributes)


def senders(headers: HeaderColumn) -> list[SpanContext]:
    """Return the contexts in which messages were sent (`traceparent`, W3C Trace Context), each once."""
    [parents] = headers.texts(("traceparent",))
    contexts = (
        get_current_span(_CONTEXTS.extract({"traceparent": parent})).get_span_context()
        for parent in islice(filter(None, parents.distinct), _MAX_LINKS)
    )
    return [context for context in contexts if context.is_valid]


def open_provider(instance: str) -> TracerProvider:
    """Make what sends the spans of this process by OTLP over HTTP. `instance` names the process among all."""
    ours = Resource(
        {"service.name": "recording-worker", "service.version": __version__, "service.instance.id": instance}
    )
    provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


def close_provider(provider: TracerProvider) -> None:
    """Send the last spans. Gives up after two seconds: a collector that is away must not hold up a stop."""
    closing = threading.Thread(target=provider.shutdown, name="close tracing", daemon=True)
    closing.start()
    closing.join(_CLOSE_SECONDS)
