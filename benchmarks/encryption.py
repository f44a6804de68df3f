"""What encryption adds to a flush: `python -m benchmarks.encryption FILE…`, see docs/change/benchmarks.md."""

import os
import statistics
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

import click

from benchmarks.contenders.process import stay_on_one_core
from recording_worker.bench.cases import Job
from recording_worker.bench.load import read_load
from recording_worker.formats.secretbox import KEY_BYTES, OVERHEAD_BYTES, seal_all
from recording_worker.formats.session_keys import Session
from recording_worker.keys.store import SessionKey
from recording_worker.logs.setup import configure_logs
from recording_worker.settings.choices import Codec, LogLevel
from recording_worker.settings.model import Settings

_MOST_BYTES = 256 * 1024 * 1024
_SEALED_BYTES = 256 * 1024
"""Large enough that the calls themselves take no time, and small enough for the cache."""


class KeysInMemory:
    """A key store that takes no time."""

    def __init__(self) -> None:
        self._known: dict[Session, SessionKey] = {}

    def read(self, sessions: Collection[Session]) -> dict[Session, SessionKey]:
        return {session: self._known[session] for session in sessions if session in self._known}

    def create(self, expires: Mapping[Session, int], now: int) -> dict[Session, SessionKey]:  # noqa: ARG002 - a key store's signature
        self._known |= {session: SessionKey(os.urandom(KEY_BYTES)) for session in expires}
        return self.read(expires)

    def destroy(self, session: Session, by: str, now: int) -> SessionKey:
        self._known[session] = SessionKey(None, now, by)
        return self._known[session]

    def probe(self) -> None:
        """It is always there."""

    def try_out(self) -> None:
        """It always works."""

    def create_table(self) -> None:
        """There is no table."""

    def close(self) -> None:
        """There is nothing to close."""


class Seconds(NamedTuple):
    """CPU seconds of one round."""

    flush: float
    whole: float
    """With all that comes before the flush, but the client of Kafka."""


def one_round(job: Job) -> tuple[Seconds, int]:
    """Fill a session batch, and flush it. Return also how many bytes its files have."""
    began = time.process_time()
    for _ in job.polls():
        pass
    filled = time.process_time()
    job.flush()
    job.flusher.wait()
    job.flusher.raise_if_failed()
    ended = time.process_time()
    stored = sum(batch.bytes_written for batch in job.flushed)
    job.flushed.clear()
    return Seconds(ended - filled, ended - began), stored


def seal_rate() -> float:
    """Return the bytes that libsodium encrypts in a CPU second, in a loop that does nothing else."""
    block, key, rounds = bytearray(OVERHEAD_BYTES + _SEALED_BYTES), os.urandom(KEY_BYTES), 200
    began = time.process_time()
    for _ in range(rounds):
        seal_all(block, [_SEALED_BYTES], [key], framed=False)
    return rounds * _SEALED_BYTES / (time.process_time() - began)


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option("--runs", type=click.IntRange(min=1), default=15, show_default=True, help="Rounds to take medians of.")
def main(files: tuple[Path, ...], runs: int) -> None:
    """Compare the CPU time of the work with and without encryption, in turns, on one core, for both codecs."""
    configure_logs(LogLevel.WARNING, as_json=False)
    stay_on_one_core()
    for codec in Codec:
        settings = Settings(codec=codec, any_token=True)
        messages = read_load(files, _MOST_BYTES).messages
        jobs = Job(settings, messages), Job(settings, messages, KeysInMemory())
        done = [([one_round(job) for job in jobs], seal_rate()) for _ in range(runs + 1)][1:]  # the first one warms up
        rounds = [[seconds for seconds, _stored in each] for each, _rate in done]
        rate, stored = statistics.median(rate for _each, rate in done), done[0][0][0][1]
        for job in jobs:
            job.close()
        plain, encrypted = (
            Seconds(*map(statistics.median, zip(*each, strict=True))) for each in zip(*rounds, strict=True)
        )
        for name, before, after in zip(Seconds._fields, plain, encrypted, strict=True):
            times = f"{before * 1e3:,.2f} ms, encrypted {after * 1e3:,.2f} ms: {after / before - 1:+.1%}"
            floor = f"libsodium alone {stored / rate * 1e3:,.2f} ms: {stored / rate / before:+.1%}"
            print(f"{codec.value} {name}: {times}; {floor}")
        print(f"{codec.value}: {stored / 1e6:,.2f} MB stored; libsodium encrypts {rate / 1e6:,.0f} MB/s")


if __name__ == "__main__":
    main()
