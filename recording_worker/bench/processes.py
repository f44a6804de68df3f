"""What several processes of this machine can do at once, and what one does over a longer time."""

import multiprocessing
import os
import statistics
import threading
import time
import zlib
from collections.abc import Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from recording_worker.bench.cases import Job
from recording_worker.bench.load import read_load
from recording_worker.errors import WorkerError
from recording_worker.logs.setup import configure_logs
from recording_worker.settings.model import Settings

_SECONDS = 0.6
_REPEATS = 3
_STEADY_SECONDS = 6.0
_SAMPLE_SECONDS = 0.1
_PAGE = os.sysconf("SC_PAGE_SIZE")
_BARE_TEXT = bytes(range(256)) * 256


def scaling(settings: Settings, paths: Sequence[Path], max_bytes: int, workers: int) -> list[dict[str, float]]:
    """Return what 1, 2, 4 … workers do at once, each on a core of its own: medians of some turns.

    `mb_per_s` counts values as they come. `bare` is how many runs a second a loop without any memory to speak of makes
    in as many processes: what the machine gives at most. Raises WorkerError if a process dies.
    """
    context = multiprocessing.get_context("spawn")
    cores = sorted(os.sched_getaffinity(0))
    pipes: list[Connection] = []
    processes: list[BaseProcess] = []
    try:
        for number in range(workers):
            ours, theirs = context.Pipe()
            arguments = (theirs, settings, tuple(paths), max_bytes, cores[number % len(cores)])
            processes.append(context.Process(target=_work, args=arguments, daemon=True))
            processes[-1].start()
            theirs.close()
            pipes.append(ours)
        _answers(pipes)
        turns = [
            (count, _together(pipes[:count], "job") / 1e6, _together(pipes[:count], "bare"))
            for _ in range(_REPEATS)
            for count in counts(workers)
        ]
    finally:
        for process in processes:
            process.kill()
            process.join()
    return [
        {
            "workers": count,
            "mb_per_s": statistics.median(rate for number, rate, _ in turns if number == count),
            "bare": statistics.median(bare for number, _, bare in turns if number == count),
        }
        for count in counts(workers)
    ]


def steady(settings: Settings, paths: Sequence[Path], max_bytes: int) -> dict[str, object]:
    """Return what one worker does for some seconds: its memory over time, and the times of polls and flushes.

    Raises WorkerError if the process dies.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    core = min(os.sched_getaffinity(0))
    process = context.Process(target=_work, args=(theirs, settings, tuple(paths), max_bytes, core), daemon=True)
    process.start()
    theirs.close()
    try:
        _answers([ours])
        ours.send("steady")
        (found,) = _answers([ours])
    finally:
        process.kill()
        process.join()
    assert isinstance(found, dict)
    return found


def counts(workers: int) -> list[int]:
    """Return 1, 2, 4 … and `workers`."""
    return sorted({*(1 << power for power in range(workers.bit_length())), workers})


def _together(pipes: Sequence[Connection], what: str) -> float:
    for pipe in pipes:
        pipe.send(what)
    return sum(rate for rate in _answers(pipes) if isinstance(rate, float))


def _answers(pipes: Sequence[Connection]) -> list[object]:
    try:
        return [pipe.recv() for pipe in pipes]
    except EOFError:
        raise WorkerError("a process of the bench died: is there enough memory for its workers?") from None


def _work(pipe: Connection, settings: Settings, paths: Sequence[Path], max_bytes: int, core: int) -> None:
    """The main function of a process: does what it is asked for, until its parent is gone."""
    os.sched_setaffinity(0, {core})
    configure_logs(settings.log_level, as_json=settings.log_json)
    messages = read_load(paths, max_bytes).messages
    size = sum(len(message.value or b"") for message in messages)
    job = Job(settings, messages)
    job.run()
    pipe.send("ready")
    try:
        while True:
            match pipe.recv():
                case "job":
                    pipe.send(_rate(job.run) * size)
                case "bare":
                    pipe.send(_rate(lambda: zlib.crc32(_BARE_TEXT)))
                case "steady":
                    pipe.send(_steady(job))
    except (EOFError, BrokenPipeError):
        return


def _rate(run: object) -> float:
    """Return how often a second it runs, by the wall clock."""
    assert callable(run)
    started, times = time.monotonic(), 0
    while (spent := time.monotonic() - started) < _SECONDS:
        run()
        times += 1
    return times / spent


def _steady(job: Job) -> dict[str, object]:
    memory: list[tuple[float, float]] = []
    polls: list[float] = []
    started, done = time.monotonic(), threading.Event()

    def sample() -> None:
        while not done.wait(_SAMPLE_SECONDS):
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
            memory.append((round(time.monotonic() - started, 2), round(pages * _PAGE / 1e6, 1)))

    sampler = threading.Thread(target=sample)
    sampler.start()
    job.flushed.clear()
    while time.monotonic() - started < _STEADY_SECONDS:
        before = time.perf_counter()
        for _ in job.polls():
            polls.append((time.perf_counter() - before) * 1e3)
            before = time.perf_counter()
    done.set()
    sampler.join()
    job.flusher.wait()
    flushes = [flushed.seconds * 1e3 for flushed in job.flushed]
    return {"memory_mb": memory, "poll_ms": _percentiles(polls), "flush_ms": _percentiles(flushes)}


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    """Return percentile → milliseconds; nothing for fewer than two values."""
    if len(values) < 2:
        return {}
    cuts = statistics.quantiles(values, n=1000, method="inclusive")
    found = {str(percent): cuts[round(percent * 10) - 1] for percent in (50, 75, 90, 95, 99, 99.9)}
    return {percent: round(value, 2) for percent, value in found.items()}
