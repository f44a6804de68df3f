"""What the soak says of its samples."""

import pytest

from tests.faults.soak import MARGIN_MIB, SAMPLE_SECONDS, Sample, growth, main, windows


def samples(seconds: float, *, rss_mib: float = 100, grown_by: float = 0) -> list[Sample]:
    """A process whose memory grows steadily over this time."""
    number = round(seconds / SAMPLE_SECONDS)
    return [Sample(at * SAMPLE_SECONDS, rss_mib + grown_by * at / number, 5, 9) for at in range(number + 1)]


def test_the_windows_are_minutes_apart() -> None:
    start, middle, end = windows(samples(180, grown_by=180))
    assert (start.rss_mib, middle.rss_mib, end.rss_mib) == (130, 190, 250)


def test_memory_that_grows_is_found() -> None:
    for grown_by, lines in ((MARGIN_MIB, 0), (2 * MARGIN_MIB, 1)):
        start, _, end = windows(samples(1200, grown_by=grown_by))
        assert len(growth("worker 0", start, end)) == lines


def test_a_time_too_short_to_compare_anything_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        main(["--minutes", "1"])
    assert refused.value.code == 2
    assert "--minutes must be at least 3" in capsys.readouterr().err
