"""Ingest: shares the files out to workers, adds up their counts, and puts the folder in place."""

import json
import multiprocessing
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

from recording_worker.errors import WorkerError
from recording_worker.ingest.counts import IngestCounts
from recording_worker.ingest.job import IngestJob, run_job
from recording_worker.ingest.staging import staged_folder
from recording_worker.logs.setup import configure_logs
from recording_worker.redaction import hide
from recording_worker.settings.model import Settings
from recording_worker.settings.secrets import secrets_of

Report = Callable[[int, int], None]
"""Gets (bytes read from files, messages done) since its last call."""


def ingest(settings: Settings, files: Sequence[Path], out: Path, report: Report) -> dict[str, object]:
    """Run the files through the pipeline into the folder `out`. Return the summary.

    Each file is a partition, in the order given, and belongs to one of the workers. `out` appears whole or
    not at all. Raises WorkerError.
    """
    started = time.monotonic()
    out = out.resolve()
    settings = settings.model_copy(update={"storage_prefix": "blocks"})
    with staged_folder(out) as staging:
        jobs = [
            IngestJob(settings, share, staging, out, staging / f"topics-{number}")
            for number, share in enumerate(_share_out(files, settings.workers))
        ]
        counts = IngestCounts()
        for done in [run_job(jobs[0], report)] if len(jobs) == 1 else _run_jobs(jobs, report):
            counts.add(done)
        (staging / settings.storage_prefix).mkdir(exist_ok=True)
        _join_topics([job.topics_folder for job in jobs], staging / "topics")
        summary = counts.summary(time.monotonic() - started)
        (staging / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def _share_out(files: Sequence[Path], workers: int) -> list[list[tuple[int, Path]]]:
    """Give each file, as (partition, path), to the worker with the least bytes; the largest file goes first."""
    shares: list[list[tuple[int, Path]]] = [[] for _ in range(min(workers, len(files)))]
    loads = [0] * len(shares)
    for partition, path in sorted(enumerate(files), key=lambda file: -file[1].stat().st_size):
        least = loads.index(min(loads))
        shares[least].append((partition, path))
        loads[least] += path.stat().st_size
    return [sorted(share) for share in shares]


def _join_topics(parts: Sequence[Path], folder: Path) -> None:
    """Join each topic's files into one, worker after worker."""
    folder.mkdir()
    for part in parts:
        for source in sorted(part.iterdir()):
            with source.open("rb") as content, (folder / source.name).open("ab") as joined:
                shutil.copyfileobj(content, joined)
        shutil.rmtree(part)


def _run_jobs(jobs: Sequence[IngestJob], report: Report) -> list[IngestCounts]:
    """Run each job in a spawned process. Raises the first WorkerError of any job; no process is left behind."""
    context = multiprocessing.get_context("spawn")
    pending: dict[Connection, BaseProcess] = {}
    finished: list[IngestCounts] = []
    try:
        for job in jobs:
            ours, theirs = context.Pipe()
            process = context.Process(target=_work, args=(job, theirs), daemon=True)
            with _ctrl_c_ignored():
                process.start()
            theirs.close()
            pending[ours] = process
        while pending:
            for ready in wait(list(pending)):
                assert isinstance(ready, Connection)
                if (counts := _receive(ready, pending[ready], report)) is not None:
                    finished.append(counts)
                    pending.pop(ready).join()
    finally:
        for left in pending.values():
            left.kill()
            left.join()
    return finished


def _receive(connection: Connection, process: BaseProcess, report: Report) -> IngestCounts | None:
    """Take one message from a worker. Return its counts once it is done. Raises its error if it failed."""
    try:
        message = connection.recv()
    except EOFError:
        process.join()
        raise WorkerError(f"an ingest worker died (exit code {process.exitcode})") from None
    if isinstance(message, WorkerError):
        raise message
    if isinstance(message, IngestCounts):
        return message
    report(*message)
    return None


def _work(job: IngestJob, connection: Connection) -> None:
    """The main function of a worker process. Sends its progress, and at the end its counts or its WorkerError.

    It ends by itself if its parent is gone. Its log is the command's: standard output is for the summary.
    """
    settings = job.settings
    hide(secrets_of(settings))
    configure_logs(settings.log_level, as_json=settings.log_json)
    try:
        connection.send(run_job(job, lambda *done: connection.send(done)))
    except BrokenPipeError:
        return
    except WorkerError as error:
        connection.send(error)


@contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """Let the processes started inside ignore Ctrl-C from their first moment. Their parent ends them."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
