"""The process side of a contender written in Python: passes over the messages, timed.

Each command is a line. `pass SECONDS` runs passes over all messages until they have taken that much CPU time. The
answer is the CPU seconds of one pass and what the last one found. `digest` runs one more pass. Its answer is a hash
of every line's JSON value, which shows whether two contenders write the same.
"""

import dataclasses
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar

from benchmarks.wire import WireMessage, read_wire


@dataclasses.dataclass(slots=True)
class Counts:
    """What a pass found. The names are the same in every contender."""

    ok: int = 0
    """Messages recorded."""
    bytes: int = 0
    """Bytes of all messages, uncompressed."""
    sessions: int = 0
    events: int = 0
    clicks: int = 0
    keypresses: int = 0
    mouse_activity: int = 0
    full_snapshots: int = 0
    """Sessions with at least one."""
    urls: int = 0
    """The sum over all sessions of their distinct URLs."""
    active_milliseconds: int = 0
    console_events: int = 0
    console_logs: int = 0
    """Console events without those that repeat in their message."""


class Pass(Protocol):
    """The result of one pass: the sessions with their lines."""

    def counts(self) -> Counts: ...

    def lines(self) -> Iterator[tuple[str, bytes]]:
        """Yield each session's id and the bytes of its lines."""


Input = TypeVar("Input")


def serve(run: Callable[[Input], Pass], prepare: Callable[[list[WireMessage]], Input]) -> None:
    """Answer commands until standard input ends. `run` is measured: one pass over what `prepare` returns."""
    messages = prepare(read_wire(Path(sys.argv[-1])))
    for command in sys.stdin:
        match command.split():
            case ["pass", seconds]:
                answer = _passes(lambda: run(messages), float(seconds))
            case ["digest"]:
                answer = {"digest": _digest(run(messages).lines())}
            case _:
                sys.exit(f"unknown command: {command.strip()}")
        print(json.dumps(answer), flush=True)


def _passes(run: Callable[[], Pass], wanted: float) -> dict[str, object]:
    spent = 0.0
    passes = 0
    while spent < wanted or not passes:
        result = None  # the memory of the previous pass is freed outside of the measured time
        started = time.process_time()
        result = run()
        spent += time.process_time() - started
        passes += 1
    assert result is not None
    return {"seconds": spent / passes, **dataclasses.asdict(result.counts())}


def _digest(sessions: Iterable[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256()
    for session_id, lines in sorted(sessions):
        digest.update(json.dumps(session_id).encode())
        for line in lines.splitlines():
            digest.update(json.dumps(json.loads(line)).encode())
    return digest.hexdigest()
