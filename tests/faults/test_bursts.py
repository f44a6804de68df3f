"""What is drawn, and how runs add up; no servers."""

import os
import random
import socket
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from tests.faults.bursts import Draw
from tests.faults.key_servers import KINDS as KEYS
from tests.faults.kinds import KINDS, Kind
from tests.faults.processes import connections, has_connection
from tests.faults.run import Plan
from tests.faults.surroundings import MEMBERSHIPS, Surroundings
from tests.faults.table import Outcome, Sums
from tests.servers.kafka.cluster import java_hash, reassignment

PLAIN = Surroundings(MEMBERSHIPS[0])
EVERYTHING = Surroundings(MEMBERSHIPS[0], storage="s3", stores=True, keys="dynamodb")


def a_round(brokers: int = 1, surroundings: Surroundings = PLAIN) -> Any:
    """What tells which kinds are possible."""
    return SimpleNamespace(brokers=SimpleNamespace(size=brokers), surroundings=surroundings)


@pytest.mark.parametrize("at", [a_round(), a_round(3), a_round(1, EVERYTHING), a_round(3, EVERYTHING)])
def test_each_possible_kind_is_drawn_before_any_is_drawn_again(at: Any) -> None:
    draw = Draw(random.Random(1))
    possible = [kind for kind in KINDS if kind.is_possible(at)]
    assert Counter(kind for _ in possible for kind in draw.burst(at, 1)) == Counter(possible)


def test_what_can_not_overlap_is_drawn_alone() -> None:
    draw = Draw(random.Random(2))
    bursts = [draw.burst(a_round(3, EVERYTHING), 3) for _ in range(200)]
    assert {len(burst) for burst in bursts} == {1, 3}
    assert all(len(burst) == 1 for burst in bursts if any(kind.alone for kind in burst))


def test_a_kind_that_has_hit_nothing_is_drawn_again() -> None:
    first, second = (Kind(name, lambda _at: 1) for name in ("first", "second"))
    draw = Draw(random.Random(3), (first, second))
    [missed] = draw.burst(a_round(), 1)
    draw.missed(missed)
    assert {kind for _ in range(2) for kind in draw.burst(a_round(), 1)} == {first, second}


@pytest.mark.parametrize(("storage", "names"), [("folder", {"folder"}), ("s3", {"s3"}), ("both", {"folder", "s3"})])
def test_rounds_take_turns(storage: str, names: set[str]) -> None:
    rounds = [Plan(800, seed=4, storage=storage).surroundings(number) for number in range(36)]
    found = Counter((one.membership, one.storage) for one in rounds)
    assert {*found} == {(membership, name) for membership in MEMBERSHIPS for name in names}
    assert len({*found.values()}) == 1
    assert Counter(one.stores for one in rounds) == {False: 24, True: 12}
    assert Counter(one.keys for one in rounds) == {"": 12, "postgres": 12, "dynamodb": 12}
    assert {(one.keys, one.storage) for one in rounds} == {(keys, name) for keys in KEYS for name in names}


OUTCOME = Outcome("a kind", recovery=2.0, messages=100, hits=3, membership="classic")


def test_runs_add_up() -> None:
    one = Sums.of([OUTCOME, replace(OUTCOME, kind="another", recovery=1.0, together=2, lost=1, wrong=["lost"])])
    two = Sums.of([replace(OUTCOME, brokers=3, storage="s3", recovery=4.0, hits=1)])
    one.add(two)
    assert one.kinds["a kind"].row("a kind") == "| a kind | 1 | 1 | 0 | 4 | 0 | 0 | 3.0 | 4.0 |"
    assert one.surroundings["files in S3"].row("S3") == "| S3 | 0 | 1 | 0 | 1 | 0 | 0 | 4.0 | 4.0 |"
    assert {*one.surroundings} == {"classic", "files in S3", "files in a folder", "teams in a file"}
    encrypted = Sums.of([replace(OUTCOME, keys="postgres"), OUTCOME]).surroundings
    assert encrypted["sessions encrypted, keys in PostgreSQL"].messages == 100
    assert one.lines()[-1] == "3 faults, 300 messages counted; faults after which anything was wrong: 1."


def test_a_group_never_recovered() -> None:
    row = Sums.of([replace(OUTCOME, recovery=float("inf"))]).kinds["a kind"].row("a kind")
    assert row == "| a kind | 1 | 0 | 0 | 3 | 0 | 0 | never | never |"


@pytest.mark.parametrize(
    ("text", "value"),
    [("", 0), ("abc", 96354), ("hello world", 1794106052), ("test string", 318923937), ("polygenelubricants", 0)],
)
def test_hash_is_that_of_java(text: str, value: int) -> None:
    assert java_hash(text) == value


def test_reassignment_has_the_bytes_of_the_protocol() -> None:
    request = reassignment("ab", {1: [2, 3]})
    head = b"\x00\x2d\x00\x00\x00\x00\x00\x01\xff\xff\x00"
    body = b"\x00\x00\x27\x10\x02\x03ab\x02\x00\x00\x00\x01\x03\0\0\0\2\0\0\0\3\0\0\0"
    assert request == (len(head) + len(body)).to_bytes(4, "big") + head + body


def test_connections_are_told_apart_by_process() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            client_port = client.getsockname()[1]
            assert connections(os.getpid(), {port}) == {client_port: True}
            assert connections(os.getppid(), {port}) == {client_port: False}
            assert connections(os.getpid(), set()) == {}
            assert has_connection(os.getpid(), client_port, {port})
