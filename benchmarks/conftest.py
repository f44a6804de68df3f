"""What all cases share: CPU time, and MB/s in the results and at the end of the run."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol, TypeVar

import pytest

Result = TypeVar("Result")
_RATES = pytest.StashKey[dict[str, float]]()


class Measure(Protocol):
    """Measures a function that works on `size` bytes."""

    def __call__(
        self,
        function: Callable[..., Result],
        size: int,
        check: Callable[[Result], None],
        setup: Callable[[], Any] | None = None,
    ) -> None:
        """If `setup` is given, it runs before each round, and its result is the function's argument.

        `check` gets the last round's result, and raises AssertionError if the function has not done its work.
        """


@pytest.fixture
def measure(benchmark: Any, request: pytest.FixtureRequest) -> Measure:
    """Measure a function's CPU time; MB/s go into the case's extra_info and the summary."""

    def run(
        function: Callable[..., Result],
        size: int,
        check: Callable[[Result], None],
        setup: Callable[[], Any] | None = None,
    ) -> None:
        if setup is None:
            result = benchmark(function)
        else:
            result = benchmark.pedantic(function, setup=lambda: ((setup(),), {}), rounds=30, warmup_rounds=3)
        assert not isinstance(result, Iterator), "what is made when it is taken was not measured"
        check(result)
        if benchmark.stats is not None:
            median = benchmark.stats.stats.median
            rate = size / median / 1e6
            benchmark.extra_info |= {"mb": size / 1e6, "mb_per_s": rate}
            request.config.stash.setdefault(_RATES, {})[request.node.nodeid] = rate

    return run


def note_per_message(benchmark: Any, messages: int) -> None:
    """Add the nanoseconds per message to the results of a case whose function works on this many messages."""
    if benchmark.stats is not None:
        benchmark.extra_info["ns_per_message"] = round(benchmark.stats.stats.median / messages * 1e9)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Measure all cases in CPU time, so that other work on the machine matters little."""
    for item in items:
        item.add_marker(pytest.mark.benchmark(timer=time.process_time, min_rounds=10, warmup=True))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print each case's MB/s of uncompressed messages, and CPU milliseconds per GB."""
    rates = config.stash.get(_RATES, {})
    if not rates:
        return
    width = max(map(len, rates))
    terminalreporter.section("MB/s on one core, CPU time, medians")
    terminalreporter.line(f"{'case':{width}} {'MB/s':>11} {'CPU ms/GB':>10}")
    for case, rate in rates.items():
        terminalreporter.line(f"{case:{width}} {rate:11,.0f} {1_000_000 / rate:10,.1f}")
