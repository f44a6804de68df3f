"""The pipeline over the sample of real recordings as one batch: each step alone, and all of it with the flush."""

from collections.abc import Callable, Collection, Mapping
from math import inf

import pytest

from benchmarks.conftest import Measure
from benchmarks.inputs import TOPIC, columns, real
from recording_worker.clock import SystemClock
from recording_worker.lookups.restrictions.refreshed import RefreshedRestrictions
from recording_worker.lookups.restrictions.service import (
    Restriction,
    RestrictionService,
    Rule,
    TokenRules,
    rules_by_token,
)
from recording_worker.lookups.teams.any_token import AnyTokenTeams
from recording_worker.messages import Message, MessageColumns
from recording_worker.metrics import Metrics
from recording_worker.pipeline.batch import MessageBatch
from recording_worker.pipeline.build import Pipeline, build_pipeline, make_decoder
from recording_worker.pipeline.step import Step
from recording_worker.pipeline.steps.parse_headers import ParseHeaders
from recording_worker.recording.flush import FlushedBatch, Flusher
from recording_worker.recording.session_batch import (
    FlushReason,
    SessionBatchManager,
    SessionBatchRecorder,
    SessionLimits,
)
from recording_worker.settings.choices import Codec
from recording_worker.settings.model import Settings
from recording_worker.storage.blackhole import BlackholeStorage


class NoDelivery:
    """A delivery that does nothing."""

    def deliver(self, flushed: FlushedBatch) -> Collection[int]:
        return flushed.partitions


class NoFlush:
    """A flush thread that is always busy, so that the step hands nothing over."""

    busy = True

    def raise_if_failed(self) -> None:
        """Nothing can have failed."""

    def submit(self, session_batch: SessionBatchRecorder, reason: FlushReason) -> None:
        """Not called while busy."""


def new_manager() -> SessionBatchManager:
    return SessionBatchManager(TOPIC, SystemClock(), Settings().budget.batch_bytes, inf, SessionLimits())


NO_RESTRICTIONS = RefreshedRestrictions([])


class AskedRestrictions:
    """Rules for every token of the sample. Each asks about a session id that no message has."""

    def __init__(self) -> None:
        batch = MessageBatch(TOPIC, MessageColumns.of(real()))
        ParseHeaders().run(batch)
        nobody = frozenset({"nobody"})
        tokens = {token for token in batch.tokens if token}
        self._rules = rules_by_token(Rule(Restriction.DROP_EVENT, token, session_ids=nobody) for token in tokens)
        assert self._rules

    def current(self) -> Mapping[str, TokenRules]:
        return self._rules


def new_pipeline(
    manager: SessionBatchManager,
    flusher: Flusher | NoFlush,
    codec: Codec = Codec.ZSTD,
    restrictions: RestrictionService = NO_RESTRICTIONS,
) -> Pipeline:
    settings = Settings(codec=codec)
    return build_pipeline(
        settings,
        decoder=make_decoder(settings),
        teams=AnyTokenTeams(),
        restrictions=restrictions,
        manager=manager,
        flusher=flusher,
        clock=SystemClock(),
        metrics=Metrics(),
        offline=True,
    )


def steps(pipeline: Pipeline) -> list[Step]:
    return [*pipeline._steps]  # noqa: SLF001 only this benchmark runs steps apart


STEPS = [step.name for step in steps(new_pipeline(new_manager(), NoFlush()))]


def old_clients() -> list[Message]:
    """Return the sample as from clients that are too old, so that the steps about warnings have something to do."""
    return [message._replace(headers=[*message.headers, ("lib_version", b"1.70.0")]) for message in real()]


DONE: Mapping[str, Callable[[MessageBatch], bool]] = {
    "parse_headers": lambda batch: all(batch.tokens.distinct),
    "parse_session_recording_message": lambda batch: batch.decoded is not None and batch.decoded.rows == len(batch),
    "resolve_team": lambda batch: all(batch.teams),
    "obtain_batch": lambda batch: batch.session_batch is not None,
    "track_lib_version": lambda batch: len(batch.warnings) > 0,
    "record_session_event": lambda batch: batch.session_batch is not None and batch.session_batch.raw_bytes > 0,
}
"""How a step's work shows in the batch."""


@pytest.mark.parametrize("name", STEPS)
def test_step(measure: Measure, name: str) -> None:
    """Run one step over a batch on which the earlier steps have run, with a new session batch. Every client is old."""
    manager = new_manager()
    all_steps = steps(new_pipeline(manager, NoFlush(), restrictions=AskedRestrictions()))
    number = STEPS.index(name)

    def prepare() -> MessageBatch:
        manager.swap()
        batch = MessageBatch(TOPIC, MessageColumns.of(old_clients()))
        for step in all_steps[:number]:
            step.run(batch)
        return batch

    def run(batch: MessageBatch) -> MessageBatch:
        all_steps[number].run(batch)
        return batch

    def check(batch: MessageBatch) -> None:
        assert not any(batch.dispositions)
        assert name not in DONE or DONE[name](batch)

    measure(run, columns(real()).bytes, check, setup=prepare)


@pytest.mark.parametrize("codec", Codec)
def test_pipeline(measure: Measure, codec: Codec) -> None:
    """Run all steps, and flush all sessions to a storage that takes no time: what a worker does with a core."""
    manager, settings = new_manager(), Settings(codec=codec)
    flushed: list[FlushedBatch] = []
    flusher = Flusher(
        BlackholeStorage(),
        NoDelivery(),
        settings=settings,
        clock=SystemClock(),
        metrics=Metrics(),
        on_flushed=flushed.append,
    )
    pipeline = new_pipeline(manager, flusher, codec)

    def run(batch: MessageBatch) -> FlushedBatch:
        flushed.clear()
        pipeline.run(batch)
        flusher.submit(manager.swap(), FlushReason.SIZE)
        flusher.wait()
        flusher.raise_if_failed()
        return flushed[0]

    def check(batch: FlushedBatch) -> None:
        assert batch.messages == len(real())
        assert 0 < batch.bytes_written < batch.raw_bytes

    measure(run, columns(real()).bytes, check, setup=lambda: MessageBatch(TOPIC, MessageColumns.of(real())))
    flusher.close()
