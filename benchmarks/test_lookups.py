"""Restrictions and team look-ups with 50,000 teams and 5,000 rules: CPU time per message, and memory."""

import random
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest

from benchmarks.conftest import note_per_message
from recording_worker.clock import SystemClock
from recording_worker.lookups.refreshed import Reading, Refreshed
from recording_worker.lookups.restrictions.refreshed import RefreshedRestrictions
from recording_worker.lookups.restrictions.service import Restriction, Rule, rules_by_token
from recording_worker.lookups.teams.postgres import teams_of
from recording_worker.lookups.teams.refreshed import RefreshedTeams
from recording_worker.lookups.teams.service import Team
from recording_worker.messages import Message, MessageColumns
from recording_worker.metrics import Metrics
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.step import Step
from recording_worker.pipeline.steps.apply_restrictions import ApplyRestrictions
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.pipeline.steps.resolve_team import ResolveTeam

TEAMS = 50_000
RULES = 5_000
MESSAGES = 500
"""In a poll."""

Value = TypeVar("Value")


def token(team: int) -> str:
    return f"phc_{team:043}"


def teams() -> dict[str, Team]:
    rows: list[tuple[object, ...]] = [(n, token(n), n % 2 == 0, "30d") for n in range(1, TEAMS + 1)]
    return teams_of(rows).value


def rules() -> Sequence[Rule]:
    """Return the rules: a fifth belong to one token, and every other token has one. Every fourth has no filter."""
    made = []
    for number in range(RULES):
        name = token(1 if number % 5 == 0 else number * 7 % TEAMS + 1)
        some = frozenset({f"value-{number}"})
        kinds: list[dict[str, frozenset[str]]] = [
            {},
            {"distinct_ids": some},
            {"session_ids": some},
            {"event_uuids": some},
        ]
        kind = kinds[number % 4] if name != token(1) else {"distinct_ids": some}
        made.append(Rule(list(Restriction)[number % 3], name, **kind))
    return made


def read_once(name: str, value: Value) -> Refreshed[Value]:
    """Return a store as a worker has it."""
    return Refreshed(name, lambda: Reading(value, 1), SystemClock(), Metrics(), interval=300, stale_after=1800)


def poll(restricted_percent: int) -> Callable[[], MessageBatch]:
    """Return a maker of polls. This share of the messages has tokens with rules, half of them the one with 1,000."""
    by_token = rules_by_token(rules())
    free = [name for name in map(token, range(1, TEAMS + 1)) if name not in by_token]
    pick = random.Random(1)
    messages = []
    for offset in range(MESSAGES):
        restricted = pick.random() * 100 < restricted_percent
        name = (pick.choice([token(1), pick.choice(list(by_token))])) if restricted else pick.choice(free)
        headers = {"token": name, "distinct_id": f"value-{offset}", "session_id": f"s{offset}", "uuid": f"u{offset}"}
        messages.append(Message(0, offset, 0, None, b"", [(key, text.encode()) for key, text in headers.items()]))

    def make() -> MessageBatch:
        batch = MessageBatch("topic", MessageColumns.of(messages))
        ParseHeaders().run(batch)
        return batch

    return make


@pytest.mark.parametrize("restricted_percent", [0, 10, 100])
def test_restrictions_and_teams(benchmark: Any, restricted_percent: int) -> None:
    """Run both steps over a poll."""
    steps: list[Step] = [
        ApplyRestrictions(RefreshedRestrictions([read_once("restrictions", rules())]), consumes_overflow=False),
        ResolveTeam(RefreshedTeams(read_once("teams", teams()))),
    ]
    make = poll(restricted_percent)

    def run(batch: MessageBatch) -> MessageBatch:
        for step in steps:
            step.run(batch)
        return batch

    batch: MessageBatch = benchmark.pedantic(run, setup=lambda: ((make(),), {}), rounds=200, warmup_rounds=5)
    note_per_message(benchmark, MESSAGES)
    assert any(batch.dispositions) == bool(restricted_percent)
    assert all(batch.team(row) for row in batch.ok_rows())


@pytest.mark.parametrize("make", [teams, lambda: rules_by_token(rules())], ids=["teams", "rules"])
def test_memory(benchmark: Any, make: Callable[[], object]) -> None:
    """Measure how long it takes to make the set, and its memory."""
    benchmark.pedantic(make, rounds=5)
    tracemalloc.start()
    kept = make()
    benchmark.extra_info["mib"] = round(tracemalloc.get_traced_memory()[0] / 2**20, 1)
    tracemalloc.stop()
    assert kept
