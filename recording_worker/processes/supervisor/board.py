"""DependencyBoard: what all processes of this host know of what they depend on."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import structlog

from recording_worker.clock import Clock
from recording_worker.dependencies import DEPENDENCIES, Dependency, DependencyState

log = structlog.get_logger()

_BLIP_SECONDS = 1.0
"""A failure that is over sooner is not logged: S3 asks for patience now and then, and the next try works."""


@dataclass(frozen=True, slots=True)
class DependencyStatus:
    """One dependency, as all processes together see it."""

    dependency: Dependency
    failing_seconds: float
    """For how long it has failed; 0 if it works."""
    problem: str
    """What is wrong; empty if it works."""
    failing_for: tuple[int, ...]
    """The workers for which it fails; none if it is the supervisor that asks."""
    answered_at: float | None
    """When it last did what was asked, seconds since 1970; None if it never did."""
    seconds: float | None
    """How long the last request took that it did."""

    def __str__(self) -> str:
        """For people: how it is."""
        if self.failing_seconds:
            return f"failing for {self.failing_seconds:.0f} s: {self.problem}"
        return "not asked yet" if self.seconds is None else f"answers in {1000 * self.seconds:.0f} ms"


class DependencyBoard:
    """Puts together what the processes know, and logs what changes. For one thread."""

    def __init__(self, clock: Clock, remember: Callable[[str], None] = lambda _: None) -> None:
        """`remember` gets a line for each failure that is logged."""
        self._clock = clock
        self._remember = remember
        self._failing: dict[str, float] = {}
        """Dependency → when it began to fail, even if the worker that noticed has ended since."""
        self._logged: dict[str, float] = {}
        """The same, of the failures that are logged."""

    def turn(
        self, own: Iterable[DependencyState], workers: Mapping[int, Mapping[str, DependencyState]]
    ) -> tuple[DependencyStatus, ...]:
        """Return what is known now, of the supervisor's own and of the workers'. Log what has begun or ended."""
        told: dict[str, list[tuple[int | None, DependencyState]]] = {}
        for state in own:
            told.setdefault(state.name, []).append((None, state))
        for worker, states in sorted(workers.items()):
            for state in states.values():
                told.setdefault(state.name, []).append((worker, state))
        board = tuple(self._together(each, told[each.name]) for each in DEPENDENCIES.values() if each.name in told)
        for status in board:
            self._log(status)
        return board

    def _together(self, dependency: Dependency, told: list[tuple[int | None, DependencyState]]) -> DependencyStatus:
        """Put together what the processes know about one dependency. If it fails for one process, it fails."""
        now, name = self._clock.monotonic(), dependency.name
        failing = [(worker, state) for worker, state in told if state.failing_since is not None]
        latest = max((state for _, state in told), key=lambda state: state.answered_at or 0.0)
        since = min((state.failing_since for _, state in failing if state.failing_since is not None), default=None)
        if since is None:
            self._failing.pop(name, None)
        else:
            since = self._failing[name] = min(since, self._failing.get(name, since))
        return DependencyStatus(
            dependency=dependency,
            failing_seconds=0.0 if since is None else max(0.001, now - since),
            problem=max(failing, key=lambda each: each[1].failing_since or 0.0)[1].problem if failing else "",
            failing_for=tuple(worker for worker, _ in failing if worker is not None),
            answered_at=latest.answered_at,
            seconds=latest.seconds,
        )

    def _log(self, status: DependencyStatus) -> None:
        name, title, now = status.dependency.name, status.dependency.title, self._clock.monotonic()
        if status.failing_seconds >= _BLIP_SECONDS and name not in self._logged:
            self._logged[name] = now - status.failing_seconds
            for_workers = {"workers": status.failing_for} if status.failing_for else {}
            self._remember(f"{title} fails: {status.problem}")
            log.warning(f"{title} fails", error=status.problem, meanwhile=status.dependency.without, **for_workers)
        elif not status.failing_seconds and name in self._logged:
            log.warning(f"{title} works again", failed_seconds=round(now - self._logged.pop(name), 1))
