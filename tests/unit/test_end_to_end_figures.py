"""What benchmarks.end_to_end makes of its runs."""

from math import inf

import pytest

from benchmarks.end_to_end.figures import Run, StartUp, histogram, quantile, summary


def run(cpu_seconds: float, **figures: object) -> Run:
    given: dict[str, object] = {"seconds": 20.0, "peak_rss": 1, "stored": 1, "messages": 100, "events": 5}
    return Run(cpu_seconds, **(given | figures))  # type: ignore[arg-type]  # a test names what it is about


def test_start_up_is_subtracted_from_medians() -> None:
    start_ups = [StartUp(1.0, 2.0), StartUp(1.5, 3.0), StartUp(9.0, 9.0)]
    figures = summary(start_ups, [run(11.5), run(3.5), run(4.5)], load_bytes=2_000_000_000)
    assert figures["cpu_s"] == 3.0
    assert figures["cpu_s_lowest"] == 2.0
    assert figures["cpu_s_highest"] == 10.0
    assert figures["cpu_s_per_gb"] == 1.5
    assert figures["messages_per_cpu_s"] == 33
    assert figures["start_up_cpu_s"] == 1.5
    assert figures["wall_s"] == 17.0


def test_percentiles_are_of_the_observations_of_all_runs() -> None:
    runs = [run(1, commit_seconds=histogram([1.0] * 50)), run(1, commit_seconds=histogram([2.0] * 49 + [7.0]))]
    figures = summary([StartUp(0, 0)], runs, load_bytes=1)
    assert figures["commit_s_p50"] == 1.0
    assert figures["commit_s_p99"] == 2.0
    assert figures["pause_s_p99"] is None


def test_buckets_of_all_runs_are_added_up() -> None:
    runs = [
        run(1, pause_seconds={0.1: 10, 1.0: 10, inf: 10}),
        run(1, pause_seconds={0.1: 0, 1.0: 10, inf: 10}),
    ]
    assert summary([StartUp(0, 0)], runs, load_bytes=1)["pause_s_p99"] == pytest.approx(0.1 + 0.9 * 0.98)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.25, 0.5), (0.5, 1.0), (0.75, 2.0), (1.0, 3.0)],
)
def test_observations_are_spread_evenly_in_their_bucket(share: float, expected: float) -> None:
    assert quantile({1.0: 4, 3.0: 8, inf: 8}, share) == expected


def test_above_the_highest_bound_only_the_bound_is_known() -> None:
    assert quantile({1.0: 1, inf: 4}, 0.9) == 1.0


def test_without_observations_there_is_no_percentile() -> None:
    assert quantile({}, 0.5) is None
    assert quantile({1.0: 0, inf: 0}, 0.5) is None
