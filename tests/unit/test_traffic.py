from collections import Counter
from itertools import islice, pairwise
from random import Random

from recording_worker._native import Decoder
from recording_worker.demo.page import Page
from recording_worker.demo.requests import with_requests
from recording_worker.demo.traffic import OK, traffic
from recording_worker.demo.visitor import Visitor
from recording_worker.formats.rrweb import data_of
from recording_worker.playing.network import requests_of
from tests.builders import NOW_MS
from tests.decoders import call_native
from tests.inputs import input_of


def test_the_same_seed_makes_the_same_messages() -> None:
    assert list(islice(traffic(7, NOW_MS), 50)) == list(islice(traffic(7, NOW_MS), 50))
    assert list(islice(traffic(7, NOW_MS), 50)) != list(islice(traffic(8, NOW_MS), 50))


def test_what_the_worker_must_record_can_be_recorded() -> None:
    """Tests of the whole worker show what happens to the misfits."""
    planned = list(islice(traffic(1, NOW_MS), 400))
    recordable = [one for one in planned if one.outcome == OK]
    decoded, dispositions, reasons = call_native(Decoder(), [input_of(one.message) for one in recordable], NOW_MS)
    assert {*zip(dispositions, reasons, strict=True)} == {OK}
    assert [decoded.event_count(row) for row in range(decoded.rows)] == [one.events for one in recordable]
    assert min(one.events for one in recordable) > 0
    assert {encoding for encoding, messages in decoded.encodings.items() if messages} == {"plain", "gzip", "lz4"}
    assert 5 < sum(one.outcome != OK for one in planned) < 40
    assert [one.message.offset for one in planned] == list(range(400))
    sessions = Counter(one.message.key for one in planned)
    assert len(sessions) > 24
    assert max(sessions.values()) > 5


def test_pages_make_requests_and_some_fail() -> None:
    page = Page("/checkout", Random(1))
    plain = list(Visitor(Random(2), NOW_MS, [page]).events())
    events = list(with_requests(plain))
    assert [event for event in events if data_of(event).get("plugin") != "rrweb/network@1"] == plain
    requests = [request for event in events for request in requests_of(event, event["timestamp"])]
    assert {request.kind for request in requests} == {"navigation", "link", "script", "fetch"}
    assert {request.url for request in requests if request.kind == "navigation"} == {page.href}
    assert {request.failed for request in requests} == {False, True}
    assert all(a["timestamp"] <= b["timestamp"] for a, b in pairwise(events))
