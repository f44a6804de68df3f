"""Checks the storage: that it takes files, and that a reader gets back what was recorded."""

from collections.abc import Iterator
from contextlib import closing

from recording_worker.errors import WorkerError
from recording_worker.metrics import Metrics
from recording_worker.operations.check.finding import Finding
from recording_worker.operations.check.run import Check
from recording_worker.operations.check.trial import read_session, record_session
from recording_worker.settings.model import Settings
from recording_worker.storage.base import RangedFile, StoredFile
from recording_worker.storage.open import open_inventory, open_storage

_HASTY = {"s3_connect_timeout": 2.0, "s3_read_timeout": 4.0, "s3_retry_for": 3.0}
"""The most that a check waits, seconds."""
_BLACKHOLE = "blackhole:"


def storage_check(settings: Settings, *, read_back: bool) -> Check:
    """Return the check of the storage. With `read_back` it records a session, reads it and removes it.

    That needs more rights than the service has, which only writes.
    """
    return Check("storage", lambda: _look(settings, read_back=read_back))


def _look(settings: Settings, *, read_back: bool) -> Iterator[Finding]:
    hasty = {name: min(seconds, getattr(settings, name)) for name, seconds in _HASTY.items()}
    settings = settings.model_copy(update=hasty)
    with closing(open_storage(settings, Metrics())) as storage:
        storage.check()
        if settings.storage == _BLACKHOLE:
            yield Finding.warning("storage", "storage is blackhole: no recording is kept", "it is for benchmarks only")
            return
        yield Finding.ok("storage", f"{settings.storage or settings.storage_dir} can be written to")
        if read_back:
            stored = record_session(settings, storage)
            yield from _read_back(settings, read_session(settings, stored))


def _read_back(settings: Settings, file: RangedFile) -> Iterator[Finding]:
    yield Finding.ok("storage", "a session was recorded, and read back as a reader does")
    try:
        open_inventory(settings).remove(StoredFile(file, size=0, created_ms=0, temporary=False))
    except WorkerError as error:
        yield Finding.warning("storage", f"what the check wrote stays: {error}", "remove it, or let sweep do it")
