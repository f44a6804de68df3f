"""Commands that a signal ends."""

import signal

import pytest

from recording_worker.cli.signals import signals_end


def raise_within_a_library(number: int) -> None:
    """Do what a C extension does that takes anything raised inside it for a wrong argument."""
    try:
        signal.raise_signal(number)
    except (KeyboardInterrupt, SystemExit):
        raise TypeError("expected header key to be unicode string") from None


@pytest.mark.parametrize(
    ("number", "ending"),
    [(signal.SIGINT, KeyboardInterrupt()), (signal.SIGTERM, SystemExit(143)), (signal.SIGHUP, SystemExit(129))],
)
def test_a_signal_ends_them_even_if_a_library_turns_it_into_an_error(number: int, ending: BaseException) -> None:
    before = signal.getsignal(number)
    with pytest.raises(type(ending)) as ended, signals_end():
        raise_within_a_library(number)
    assert ended.value.args == ending.args
    assert signal.getsignal(number) is before


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_that_is_raised_in_a_finalizer_ends_them_too() -> None:
    class Finalized:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(SystemExit) as ended, signals_end():
        Finalized()
    assert ended.value.code == 143


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(TypeError, match="wrong"), signals_end():
        raise TypeError("wrong")
