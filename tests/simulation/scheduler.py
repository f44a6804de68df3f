"""Many processes in one thread: tasks that take turns, and a clock that stands still while they work.

A task is a greenlet. It gives up its turn only where the code waits: for a time, a lock, a pipe or an answer. So a
schedule follows from its seed alone, and a process can be frozen or killed wherever it waits.
"""

import random
from collections import deque
from collections.abc import Callable
from concurrent.futures import TimeoutError as NoAnswerError
from heapq import heappop, heappush
from typing import Any, Generic, NoReturn, TypeVar

from greenlet import GreenletExit, getcurrent, greenlet

Value = TypeVar("Value")


class Exited(BaseException):
    """Ends a process at once, as `os._exit` does."""


class Process:
    """What is frozen and killed as a whole. `code` is its exit code once it has ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.frozen = 0
        """How many faults freeze it now."""
        self.code: int | None = None
        self.tasks: dict[Task, None] = {}
        """In the order in which they began."""
        self.at_end: list[Callable[[], None]] = []

    @property
    def alive(self) -> bool:
        return self.code is None


class Task:
    """A thread of a process."""

    __slots__ = ("due", "greenlet", "process", "turn", "wakes")

    def __init__(self, process: Process) -> None:
        self.process = process
        self.greenlet: Any = None
        self.turn = 0
        """Counts up each time that it is to run: what was meant for an earlier turn is void."""
        self.wakes = False
        """Whether it runs next because it was woken, and not because its time was up."""
        self.due = False
        """Whether its turn came while its process was frozen."""


class Scheduler:
    """Runs tasks and calls in the order of their times. Equal times go in an order drawn by the seed."""

    def __init__(self, rng: random.Random) -> None:
        self.now = 1_000.0
        self.rng = rng
        self.current: Task | None = None
        self.failure: BaseException | None = None
        """The first exception that left a task."""
        self._heap: list[tuple[float, float, int, Any, int]] = []
        self._tasks: dict[Task, None] = {}
        """All that have not ended. A task of a dead process is unwound soon."""
        self._count = 0
        self._hub: Any = None

    def now_ms(self) -> int:
        return 1_795_000_000_000 + round(self.now * 1000)

    def monotonic(self) -> float:
        return self.now

    # calls and tasks

    def call(self, delay: float, what: Callable[[], object]) -> None:
        """Call something later, outside of any task."""
        self._push(self.now + delay, what, 0)

    def spawn(self, process: Process, run: Callable[[], object]) -> Task:
        """Begin a task of a process."""
        task = Task(process)

        def whole() -> None:
            try:
                run()
            except GreenletExit:
                pass
            except Exited:
                self.kill(process, 1)
            except SystemExit as end:
                self.end(process, end.code if isinstance(end.code, int) else 1)
            except BaseException as error:  # noqa: BLE001 - the run fails with it
                self.failure = self.failure or error
            finally:
                process.tasks.pop(task, None)
                del self._tasks[task]

        task.greenlet = greenlet(whole, self._hub)
        process.tasks[task] = self._tasks[task] = None
        self._push(self.now, task, task.turn)
        return task

    def end(self, process: Process, code: int) -> None:
        """End a process: none of its tasks runs again."""
        if not process.alive:
            return
        process.code = code
        tasks = [task for task in process.tasks if task is not self.current]
        process.tasks.clear()
        for task in tasks:
            task.turn += 1
        self.call(0, lambda: self._unwind(tasks))
        for hook in process.at_end:
            hook()

    def kill(self, process: Process, code: int = -9) -> None:
        """Kill a process. If it is the one that runs, its task ends here."""
        self.end(process, code)
        if self.current is not None and self.current.process is process:
            raise GreenletExit

    def freeze(self, process: Process) -> None:
        process.frozen += 1

    def thaw(self, process: Process) -> None:
        process.frozen -= 1
        if not process.frozen:
            for task in process.tasks:
                if task.due:
                    task.due = False
                    self._push(self.now, task, task.turn)

    # what a task does

    def wait(self, timeout: float | None) -> bool:
        """Wait until `wake`, at most this long. Return whether it was woken."""
        task = self.task()
        task.turn += 1
        task.wakes = False
        if timeout is not None:
            self._push(self.now + max(timeout, 0.0), task, task.turn)
        self._hub.switch()
        return task.wakes

    def wake(self, task: Task) -> None:
        if task.process.alive:
            task.turn += 1
            task.wakes = True
            self._push(self.now, task, task.turn)

    def sleep(self, seconds: float) -> None:
        self.wait(seconds)

    def task(self) -> Task:
        """Return the task that runs. A task of a dead process ends here."""
        task = self.current
        if task is None or not task.process.alive:
            raise GreenletExit
        return task

    def run(self, until: Callable[[], bool], deadline: float) -> None:
        """Run until something holds, which is looked at twice a second, or until a time, or until a task fails."""
        self._hub = getcurrent()
        heap, look_at = self._heap, 0.0
        while heap and self.failure is None:
            at, _, _, target, turn = heappop(heap)
            if at > self.now:
                self.now = at
                if at >= look_at:
                    if at >= deadline or until():
                        return
                    look_at = at + 0.5
            if not isinstance(target, Task):
                target()
            elif target.turn == turn and target.process.alive:
                if target.process.frozen:
                    target.due = True
                else:
                    self.current = target
                    target.greenlet.switch()
                    self.current = None

    def close(self) -> None:
        """Unwind all tasks that are left. One that waits for ever would keep the whole world in memory."""
        self._heap.clear()
        self._unwind([*self._tasks])

    def _unwind(self, tasks: list[Task]) -> None:
        before, self.current = self.current, None
        for task in tasks:
            if task.greenlet and not task.greenlet.dead:
                task.greenlet.throw(GreenletExit)
        self.current = before

    def _push(self, at: float, target: Any, turn: int) -> None:
        self._count += 1
        heappush(self._heap, (at, self.rng.random(), self._count, target, turn))


class Signal:
    """Tasks that wait for something."""

    __slots__ = ("_scheduler", "_waiting")

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._waiting: list[Task] = []

    def add(self, task: Task) -> None:
        self._waiting.append(task)

    def remove(self, task: Task) -> None:
        if task in self._waiting:
            self._waiting.remove(task)

    def wait(self, timeout: float | None) -> bool:
        task = self._scheduler.task()
        self._waiting.append(task)
        try:
            return self._scheduler.wait(timeout)
        finally:
            self.remove(task)

    def notify(self) -> None:
        waiting, self._waiting = self._waiting, []
        for task in waiting:
            self._scheduler.wake(task)


class Threading:
    """Stands in for the module `threading` in code that is simulated."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler

    def Thread(self, *, target: Callable[[], None], name: str = "", daemon: bool = True) -> "Thread":  # noqa: N802
        del name, daemon
        return Thread(self._scheduler, target)

    def Event(self) -> "Event":  # noqa: N802
        return Event(self._scheduler)

    def Condition(self) -> "Condition":  # noqa: N802
        return Condition(self._scheduler)

    def Lock(self) -> "Lock":  # noqa: N802
        return Lock()


class Thread:
    def __init__(self, scheduler: Scheduler, target: Callable[[], None]) -> None:
        self._scheduler = scheduler
        self._target = target
        self._ended = Event(scheduler)

    def start(self) -> None:
        self._scheduler.spawn(self._scheduler.task().process, self._run)

    def join(self) -> None:
        self._ended.wait()

    def _run(self) -> None:
        self._target()
        self._ended.set()


class Lock:
    """Nothing here gives up its turn while it holds a lock, so there is nothing to lock."""

    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


class Event:
    def __init__(self, scheduler: Scheduler) -> None:
        self.signal = Signal(scheduler)
        self._is_set = False

    def is_set(self) -> bool:
        return self._is_set

    def set(self) -> None:
        self._is_set = True
        self.signal.notify()

    def clear(self) -> None:
        self._is_set = False

    def wait(self, timeout: float | None = None) -> bool:
        return self._is_set or self.signal.wait(timeout) or self._is_set


class Condition(Lock):
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler = scheduler
        self._signal = Signal(scheduler)

    def notify_all(self) -> None:
        self._signal.notify()

    def wait_for(self, holds: Callable[[], bool], timeout: float) -> bool:
        deadline = self._scheduler.now + timeout
        while not holds():
            if not self._signal.wait(deadline - self._scheduler.now):
                return holds()
        return True


class Queue(Generic[Value]):
    """Stands in for SimpleQueue."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._signal = Signal(scheduler)
        self._items: deque[Value] = deque()

    def put(self, item: Value) -> None:
        self._items.append(item)
        self._signal.notify()

    def get(self) -> Value:
        while not self._items:
            self._signal.wait(None)
        return self._items.popleft()


class Future(Generic[Value]):
    """Stands in for concurrent.futures.Future."""

    def __init__(self, scheduler: Scheduler) -> None:
        self._signal = Signal(scheduler)
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._callbacks: list[Callable[[Any], object]] = []

    def done(self) -> bool:
        return self._done

    def set_result(self, value: Value) -> None:
        self._finish(value, None)

    def set_exception(self, error: BaseException) -> None:
        self._finish(None, error)

    def result(self, timeout: float | None = None) -> Value:
        if not self._done:
            self._signal.wait(timeout)
        if not self._done:
            raise NoAnswerError
        if self._error is not None:
            raise self._error
        value: Value = self._value
        return value

    def exception(self) -> BaseException | None:
        return self._error

    def add_done_callback(self, callback: Callable[[Any], object]) -> None:
        if self._done:
            callback(self)
        else:
            self._callbacks.append(callback)

    def wait(self, timeout: float | None) -> bool:
        """Wait for the end. Return whether it is there."""
        if not self._done:
            self._signal.wait(timeout)
        return self._done

    def _finish(self, value: Any, error: BaseException | None) -> None:
        if self._done:
            return
        self._done, self._value, self._error = True, value, error
        for callback in self._callbacks:
            callback(self)
        self._signal.notify()


class Time:
    """Stands in for the module `time`."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.monotonic = scheduler.monotonic
        self.sleep = scheduler.sleep
        self._scheduler = scheduler

    def time(self) -> float:
        return self._scheduler.now_ms() / 1000


def exit_at_once(_code: int) -> NoReturn:
    """Stands in for `os._exit`."""
    raise Exited
