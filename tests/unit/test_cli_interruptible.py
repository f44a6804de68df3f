import os
import signal
from collections.abc import Callable

import pytest

from recording_worker.cli.signals import Interruptible

each_signal = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])


def exit_code(body: Callable[[Interruptible], None]) -> int | str | None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    with pytest.raises(SystemExit) as raised, Interruptible() as interruptions:
        body(interruptions)
    assert {number: signal.getsignal(number) for number in before} == before
    return raised.value.code


@each_signal
def test_a_signal_ends_what_is_not_deferred_at_once(number: signal.Signals) -> None:
    def body(_interruptions: Interruptible) -> None:
        os.kill(os.getpid(), number)
        pytest.fail("it goes on")

    assert exit_code(body) == 128 + number


@each_signal
def test_what_is_deferred_finishes_first(number: signal.Signals) -> None:
    done = []

    def body(interruptions: Interruptible) -> None:
        with interruptions.deferred():
            interruptions.check()
            os.kill(os.getpid(), number)
            done.append("ended")
        pytest.fail("it goes on")

    assert exit_code(body) == 128 + number
    assert done == ["ended"]


def test_a_check_or_a_second_signal_ends_it_while_it_is_deferred() -> None:
    def gives_up(interruptions: Interruptible) -> None:
        with interruptions.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            interruptions.check()
            pytest.fail("it goes on")

    def again(interruptions: Interruptible) -> None:
        with interruptions.deferred():
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGINT)
            pytest.fail("it goes on")

    assert exit_code(gives_up) == 143
    assert exit_code(again) == 130


def test_it_ends_even_if_a_library_turns_the_signal_into_an_error() -> None:
    def body(_interruptions: Interruptible) -> None:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
        except SystemExit:
            raise TypeError("expected header key to be unicode string") from None

    assert exit_code(body) == 143


def test_other_errors_stay_as_they_are() -> None:
    with pytest.raises(TypeError, match="wrong"), Interruptible():
        raise TypeError("wrong")


def test_without_a_signal_nothing_happens() -> None:
    with Interruptible() as interruptions, interruptions.deferred():
        interruptions.check()
    interruptions.check()
