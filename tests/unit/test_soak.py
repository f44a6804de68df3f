"""What the soak says of its samples."""

from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest

from tests.faults.arena import Round
from tests.faults.soak import MARGIN_MIB, MIN_MINUTES, SAMPLE_SECONDS, Sample, Visitor, growth, main, windows


def samples(seconds: float, *, rss_mib: float = 100, grown_by: float = 0, leaks: int = 0) -> list[Sample]:
    """A process that grows steadily over this time: in memory, and by this many threads and descriptors."""
    number = round(seconds / SAMPLE_SECONDS)
    return [
        Sample(
            at * SAMPLE_SECONDS, rss_mib + grown_by * at / number, 5 + leaks * at // number, 9 + leaks * at // number
        )
        for at in range(number + 1)
    ]


def test_the_shortest_time_has_windows_that_do_not_overlap() -> None:
    start, middle, end = windows(samples(MIN_MINUTES * 60, grown_by=360))
    assert (start.rss_mib, middle.rss_mib, end.rss_mib) == (160, 280, 400)


def test_memory_that_grows_is_found() -> None:
    for grown_by, lines in ((MARGIN_MIB, 0), (2 * MARGIN_MIB, 1)):
        start, _, end = windows(samples(1200, grown_by=grown_by))
        assert len(growth("worker 0", start, end)) == lines


def test_a_leak_is_found() -> None:
    start, _, end = windows(samples(1200, leaks=20))
    assert [line.split(" grew")[0] for line in growth("worker 0", start, end)] == [
        "worker 0: threads",
        "worker 0: file descriptors",
    ]


def test_what_a_rebalance_takes_for_a_moment_is_no_leak() -> None:
    taken = samples(1200)
    taken[-5:] = [replace(one, threads=one.threads + 1, descriptors=one.descriptors + 3) for one in taken[-5:]]
    start, _, end = windows(taken)
    assert not growth("worker 0", start, end)


def test_a_time_too_short_to_compare_anything_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--minutes", "5"])
    assert refused.value.code == 2
    assert "--minutes must be at least 6" in capsys.readouterr().err


def test_a_rebalance_that_does_not_happen_is_told() -> None:
    log = ["partitions placed"]
    first = SimpleNamespace(logged=log.count)
    second = SimpleNamespace(start=lambda: log.append("partitions revoked"), stop=lambda: None, exits=[0])
    visitor = Visitor(cast("Round", SimpleNamespace(running=[first], hosts=[first, second])))
    visitor.turn()  # it comes, and the first host gives partitions away
    visitor.turn()  # it goes, and the first host gets none
    visitor.settle()
    assert (visitor.turns, visitor.rebalances) == (2, 1)
    assert visitor.wrong() == ["1 of 2 rebalances did not happen"]
