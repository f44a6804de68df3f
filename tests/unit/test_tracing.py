"""Spans of polls and flushes: what they say, and what they link to."""

import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from recording_worker._native import HeaderColumn
from recording_worker.tracing.spans import SpanTracing, senders
from tests.unit.flushing import Deliveries, Make, flush, session_batch


def parent(trace: int, span: int = 1) -> str:
    return f"00-{trace:032x}-{span:016x}-01"


def headers(*parents: str | None) -> HeaderColumn:
    """The headers of messages with these contexts."""
    return HeaderColumn([[("token", b"t"), *([("traceparent", text.encode())] if text else [])] for text in parents])


class Traced:
    """A tracing whose spans are kept."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = SpanTracing(provider)

    def spans(self) -> list[ReadableSpan]:
        return list(self._exporter.get_finished_spans())


def links(span: ReadableSpan) -> list[int]:
    """The spans that a span links to, by their ids."""
    return [link.context.span_id for link in span.links]


def test_senders_are_linked_to_once_and_broken_contexts_are_left_out() -> None:
    found = senders(
        headers(parent(7, 70), None, "nonsense", parent(0), parent(7, 70), parent(8, 80), "00-" + "9" * 999)
    )
    assert [(context.trace_id, context.span_id) for context in found] == [(7, 70), (8, 80)]
    assert len(senders(headers(*(parent(number) for number in range(1, 500))))) == 128
    assert senders(headers()) == []


def test_a_poll_says_what_it_has_and_one_without_messages_says_nothing() -> None:
    traced = Traced()
    with traced.tracing.poll("events", headers()):
        pass
    assert traced.spans() == []
    with traced.tracing.poll("events", headers(parent(7, 70), None, parent(8, 80))) as attributes:
        attributes["recording.batch_id"] = "a"
    [span] = traced.spans()
    assert span.name == "process events"
    assert span.attributes == {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.destination.name": "events",
        "messaging.batch.message_count": 3,
        "recording.batch_id": "a",
    }
    assert links(span) == [70, 80]


def test_a_flush_links_to_the_polls_since_the_last_one() -> None:
    traced = Traced()
    for batch in ("a", "b"):
        for _ in range(2):
            with traced.tracing.poll("events", headers(None)):
                pass
        traced.tracing.hand_over(batch)
    for batch in ("a", "b", "unknown"):
        with traced.tracing.flush(batch, "age"):
            pass
    *polls, first, second, unknown = traced.spans()
    ids = [poll.context.span_id for poll in polls if poll.context]
    assert (links(first), links(second), links(unknown)) == (ids[:2], ids[2:], [])


def test_the_span_of_a_flush_says_what_was_stored(flusher_of: Make, deliveries: Deliveries) -> None:
    traced = Traced()
    flusher = flusher_of(tracing=traced.tracing)
    with traced.tracing.poll("events", headers(None)):
        flush(flusher, session_batch("a", "b"))
    flusher.close()
    by_name = {span.name: span for span in traced.spans()}
    span, [delivered] = by_name["flush"], deliveries.delivered
    assert span.attributes is not None
    said = dict(span.attributes)
    assert {said.pop(f"recording.flush.{stage}_seconds") for stage in ("gather", "compress", "store", "deliver")} == {0}
    assert said == {
        "recording.batch_id": delivered.batch_id,
        "recording.flush.reason": "size",
        "recording.sessions": 2,
        "recording.messages": 2,
        "recording.bytes_written": delivered.bytes_written,
    }
    assert by_name["process events"].context is not None
    assert links(span) == [by_name["process events"].context.span_id]


def test_what_fails_is_named_by_its_kind_only() -> None:
    traced = Traced()
    with pytest.raises(ValueError, match="hush"), traced.tracing.flush("a", "age"):
        raise ValueError("hush-hush")
    [span] = traced.spans()
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "ValueError")
    assert "hush" not in span.to_json()


def test_a_worker_that_does_not_trace_loads_nothing_for_it() -> None:
    code = (
        "import sys, recording_worker.processes.service\n"
        "sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
