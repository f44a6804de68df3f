"""What a process knows of what it depends on, and what the supervisor makes of it."""

from structlog.testing import capture_logs

from recording_worker import dependencies
from recording_worker.dependencies import KAFKA, STORAGE, Dependencies, DependencyState, DependencyWatch, Prober
from recording_worker.errors import StoreError
from recording_worker.processes.supervisor import loop
from recording_worker.processes.supervisor.board import DependencyBoard, DependencyStatus
from recording_worker.processes.worker import reporter
from tests.builders import FakeClock
from tests.waiting import wait_for


class Bench:
    def __init__(self) -> None:
        self.clock = FakeClock()
        self.watch = DependencyWatch(STORAGE, self.clock)

    @property
    def failing_for(self) -> float | None:
        since = self.watch.state.failing_since
        return None if since is None else self.clock.monotonic() - since


def test_nothing_is_known_before_anything_is_asked() -> None:
    assert Bench().watch.state == DependencyState("storage")


def test_a_request_that_is_long_on_its_way_counts_as_failed_already() -> None:
    bench = Bench()
    bench.watch.asks()
    bench.clock.ms += 1_500
    assert bench.failing_for is None
    bench.clock.ms += 500
    state = bench.watch.state
    assert (state.failing_since, state.problem) == (bench.clock.monotonic() - 2, "no answer")
    bench.watch.worked(2.0)
    assert bench.watch.state == DependencyState("storage", answered_at=bench.clock.now_ms() / 1000, seconds=2.0)


def test_a_failure_lasts_from_the_first_to_the_next_success() -> None:
    bench = Bench()
    bench.watch.failed("refused")
    bench.clock.ms += 3_000
    bench.watch.failed("no space")
    assert (bench.failing_for, bench.watch.state.problem) == (3, "no space")
    bench.watch.worked(0.1)
    assert bench.failing_for is None


def test_a_probe_does_not_disprove_what_the_work_has_seen() -> None:
    bench = Bench()
    bench.watch.failed("access denied")
    bench.watch.worked(0.01, by_probe=True)
    assert bench.watch.state.problem == "access denied"
    bench.watch.worked(0.01)
    bench.watch.failed("can't connect", by_probe=True)
    bench.watch.worked(0.01, by_probe=True)
    assert bench.failing_for is None


def test_what_is_quiet_is_probed_and_the_answer_is_noted() -> None:
    bench = Bench()
    problems = ["it is away"]

    def probe() -> None:
        if problems:
            raise StoreError(problems[0])

    prober = Prober(bench.watch, probe, bench.clock)
    wait_for(lambda: bench.watch.state.problem == "it is away", "the probe to fail")
    problems.clear()
    wait_for(lambda: bench.failing_for is None, "the probe to work")
    prober.close()


def test_what_has_just_worked_is_not_probed() -> None:
    bench = Bench()
    bench.watch.worked(0.1)
    assert not bench.watch.is_quiet(1.5)
    bench.clock.ms += 1_500
    assert bench.watch.is_quiet(1.5)
    bench.watch.failed("away")
    assert bench.watch.is_quiet(1.5)


def test_the_times_add_up_to_less_than_5_seconds() -> None:
    """What answers nothing is probed when it is quiet, and shown when the probe is late and was reported."""
    parts = {
        "quiet": dependencies._QUIET_SECONDS + dependencies._LOOK_SECONDS,
        "no answer": dependencies._PATIENCE,
        "report": reporter._LOOK_SECONDS,
        "turn": loop._TURN_SECONDS,
    }
    assert sum(parts.values()) < 4.5


def test_what_probes_keep_is_closed() -> None:
    closed: list[bool] = []
    watched = Dependencies(FakeClock())
    watched.watch(STORAGE, lambda: None, close=lambda: closed.append(True))
    watched.close()
    assert closed == [True]


def test_a_process_has_one_watch_of_each() -> None:
    watched = Dependencies(FakeClock())
    assert watched.watch(STORAGE) is watched.watch(STORAGE, lambda: None)
    assert [state.name for state in watched.states()] == ["storage"]


class Board:
    """The board, with what two workers know about storage."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.board = DependencyBoard(self.clock)
        self.workers: dict[int, dict[str, DependencyState]] = {0: {}, 1: {}}

    def tell(self, worker: int, *, ago: float, problem: str = "", seconds: float = 0.05) -> None:
        """Tell that storage worked for a worker this long ago, or has failed since then."""
        state = DependencyState("storage", answered_at=self.clock.now_ms() / 1000 - ago, seconds=seconds)
        if problem:
            state = state._replace(failing_since=self.clock.monotonic() - ago, problem=problem)
        self.workers[worker] = {"storage": state}

    def turn(self) -> DependencyStatus:
        [status] = self.board.turn([], self.workers)
        return status


def test_it_works_if_it_works_for_all() -> None:
    bench = Board()
    bench.tell(0, ago=3, seconds=0.5)
    bench.tell(1, ago=1, seconds=0.025)
    status = bench.turn()
    assert (status.failing_seconds, status.seconds, status.failing_for) == (0, 0.025, ())
    assert status.answered_at == bench.clock.now_ms() / 1000 - 1
    assert str(status) == "answers in 25 ms"


def test_it_fails_if_it_fails_for_one() -> None:
    bench = Board()
    bench.tell(0, ago=1)
    bench.tell(1, ago=25, problem="connection refused")
    status = bench.turn()
    assert (status.failing_seconds, status.failing_for) == (25, (1,))
    assert str(status) == "failing for 25 s: connection refused"


def test_a_failure_goes_on_though_the_worker_that_noticed_is_started_again() -> None:
    bench = Board()
    bench.tell(0, ago=5, problem="refused")
    bench.turn()
    bench.clock.ms += 10_000
    bench.tell(0, ago=1, problem="refused")
    assert bench.turn().failing_seconds == 15


def test_beginning_and_end_of_a_failure_are_logged_once() -> None:
    bench = Board()
    with capture_logs() as logs:
        bench.tell(0, ago=0.5, problem="slow down")
        bench.turn()
        bench.tell(0, ago=0)
        bench.turn()
        assert not logs, "a failure that is over at once is not logged"
        bench.tell(0, ago=2, problem="refused")
        bench.turn()
        bench.clock.ms += 4_000
        bench.turn()
        bench.tell(0, ago=0)
        bench.turn()
        bench.turn()
    assert [(line["event"], line.get("error"), line.get("workers"), line.get("failed_seconds")) for line in logs] == [
        ("Storage fails", "refused", (0,), None),
        ("Storage works again", None, None, 6.0),
    ]


def test_what_nobody_depends_on_is_not_shown() -> None:
    board = DependencyBoard(FakeClock())
    assert [each.dependency for each in board.turn([DependencyState("kafka")], {})] == [KAFKA]
    assert str(board.turn([DependencyState("kafka")], {})[0]) == "not asked yet"
