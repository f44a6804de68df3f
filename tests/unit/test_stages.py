"""Times of flushes, steps and the loop."""

import time
from collections.abc import Iterator

from recording_worker.metrics import Metrics
from recording_worker.pipeline.step_times import StepTimes
from recording_worker.processes.worker.pauses import LoopPauses
from recording_worker.recording.stages import Stages
from tests.builders import FakeClock, counted

SECONDS = 0.02


def test_the_time_in_which_items_are_made_is_not_the_time_of_what_takes_them() -> None:
    clock, metrics = FakeClock(), Metrics()
    stages = Stages(clock)

    def made() -> Iterator[int]:
        for number in range(3):
            clock.ms += 1_000
            yield number

    with stages.of("gather"):
        clock.ms += 500
    with stages.of("store"):
        clock.ms += 100
        for _ in stages.timed("compress", made()):
            clock.ms += 10
    stages.observe(metrics)
    sums = {
        stage: counted(metrics, "flush_stage_seconds_sum", stage=stage) for stage in ("gather", "compress", "store")
    }
    assert {stage: round(seconds or 0, 6) for stage, seconds in sums.items()} == {
        "gather": 0.5,
        "compress": 3.0,
        "store": 0.13,
    }
    assert counted(metrics, "flush_stage_seconds_count", stage="compress") == 1, "one for each flush"


def test_a_step_that_waits_takes_time_but_no_cpu() -> None:
    metrics = Metrics()
    times = StepTimes(["waits", "works"], metrics)
    times.begin()
    time.sleep(SECONDS)
    assert times.ended(0) >= SECONDS
    while time.thread_time() < times._cpu_now + SECONDS:
        pass
    times.ended(1)
    times.note()
    seconds, cpu = (
        {step: counted(metrics, name, step=step) or 0 for step in ("waits", "works")}
        for name in ("step_seconds_total", "step_cpu_seconds_total")
    )
    assert min(seconds.values()) >= SECONDS
    assert cpu["works"] >= SECONDS > cpu["waits"]


def test_steps_are_noted_once_a_second_and_nothing_is_left_out() -> None:
    metrics = Metrics()
    times = StepTimes(["step"], metrics)
    times.begin()
    times.note()
    times.begin()
    time.sleep(SECONDS)
    spent = times.ended(0)
    times.note()
    assert counted(metrics, "step_seconds_total", step="step") == 0
    times._noted -= 1
    times.note()
    assert counted(metrics, "step_seconds_total", step="step") == spent


def test_the_loop_says_where_its_time_goes() -> None:
    metrics = Metrics()
    pauses = LoopPauses(metrics)
    try:
        started = time.perf_counter()
        with pauses.busy("poll"):
            time.sleep(SECONDS)
        with pauses.busy("flush"):
            time.sleep(2 * SECONDS)
        with pauses.active("steps"):
            time.sleep(3 * SECONDS)
        time.sleep(4 * SECONDS)
        took = time.perf_counter() - started
        pauses.end_turn(idle=False)
    finally:
        pauses.close()
    spent = {
        each: counted(metrics, "loop_seconds_total", activity=each) or 0 for each in ("poll", "flush", "steps", "rest")
    }
    for number, seconds in enumerate(spent.values(), 1):
        assert seconds >= number * SECONDS
    assert sum(spent.values()) >= took
    assert sum(counted(metrics, "loop_cpu_seconds_total", activity=each) or 0 for each in spent) < took
