"""The rules of formats/rrweb.py, which the player follows, give what the native core gives for the same message."""

import json
from typing import Any

from hypothesis import assume, given

from recording_worker.formats import rrweb
from recording_worker.formats.rrweb import Event, EventType, Source
from recording_worker.outcome import Disposition
from tests.decoders import BatchOutcome, decode_native
from tests.inputs import Input
from tests.property import generate
from tests.reference.counters import MAX_URLS


def events_of(batch: BatchOutcome) -> list[Event]:
    """The events on the lines that the core wrote for a batch of one message."""
    parsed: list[Any] = [json.loads(line.event) for line in batch.rows[0].lines]
    return parsed


@given(generate.rows)
def test_events_count_as_they_do_in_the_core(row: Input) -> None:
    batch = decode_native([row])
    assume(batch.rows[0].disposition == Disposition.OK)
    [block], events = batch.blocks.values(), events_of(batch)
    console = [line for event in events if (line := rrweb.console_line(event))]
    assert console == [(log.level, log.message) for log in batch.rows[0].console_logs]
    urls = dict.fromkeys(url for event in events if (url := rrweb.url_of(event)) is not None)
    assert list(urls)[:MAX_URLS] == block.urls
    sources = [rrweb.source_of(event) for event in events]
    assert sum(map(rrweb.is_click, events)) == block.click_count
    assert sum(source == Source.INPUT for source in sources) == block.keypress_count
    assert sum(source in rrweb.MOUSE_SOURCES for source in sources) == block.mouse_activity_count
    assert any(source in rrweb.ACTIVE_SOURCES for source in sources) == (block.active_milliseconds > 0)
    assert any(rrweb.type_of(event) == EventType.FULL_SNAPSHOT for event in events) == block.has_full_snapshot
