"""What the supervisor tells systemd, over a real socket."""

import os
from pathlib import Path

import pytest

from recording_worker.processes.supervisor.systemd import SystemdNotifier
from tests.builders import FakeClock
from tests.notify_socket import NotifySocket


def test_each_state_is_sent_once(tmp_path: Path) -> None:
    with NotifySocket(tmp_path / "notify") as systemd:
        notifier = SystemdNotifier({"NOTIFY_SOCKET": systemd.address}, FakeClock())
        for _ in range(3):
            notifier.turned(started=False, status="workers not up: [0]")
        for _ in range(3):
            notifier.turned(started=True, status="ready")
        notifier.stopping()
    assert systemd.lines == [
        "STATUS=workers not up: [0]",
        "STATUS=ready",
        "READY=1",
        "STOPPING=1",
        "STATUS=stopping",
    ]


def test_the_status_stays_one_line(tmp_path: Path) -> None:
    with NotifySocket(tmp_path / "notify") as systemd:
        SystemdNotifier({"NOTIFY_SOCKET": systemd.address}, FakeClock()).turned(started=False, status="a\nREADY=1")
    assert systemd.lines == ["STATUS=a\\nREADY=1"]


def test_an_abstract_address(tmp_path: Path) -> None:
    with NotifySocket(f"@{tmp_path}") as systemd:
        SystemdNotifier({"NOTIFY_SOCKET": systemd.address}, FakeClock()).stopping()
    assert "STOPPING=1" in systemd.lines


def test_signs_of_life_come_three_times_in_the_time_that_systemd_gives(tmp_path: Path) -> None:
    clock = FakeClock()
    with NotifySocket(tmp_path / "notify") as systemd:
        environ = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}
        notifier = SystemdNotifier(environ, clock)
        for _ in range(600):
            notifier.turned(started=True, status="ready")
            clock.ms += 100
    assert systemd.lines.count("WATCHDOG=1") == 3


@pytest.mark.parametrize(
    "watchdog",
    [{}, {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": ""}, {"WATCHDOG_USEC": "soon"}],
)
def test_no_signs_of_life_if_systemd_waits_for_none_of_this_process(tmp_path: Path, watchdog: dict[str, str]) -> None:
    with NotifySocket(tmp_path / "notify") as systemd:
        SystemdNotifier({"NOTIFY_SOCKET": systemd.address} | watchdog, FakeClock()).turned(started=True, status="ready")
    assert systemd.lines == ["STATUS=ready", "READY=1"]


def test_what_could_not_be_sent_is_sent_later(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    notifier = SystemdNotifier({"NOTIFY_SOCKET": str(path)}, FakeClock())
    notifier.turned(started=True, status="ready")
    with NotifySocket(path) as systemd:
        notifier.turned(started=True, status="ready")
    assert systemd.lines == ["STATUS=ready", "READY=1"]


def test_without_systemd_nothing_is_sent() -> None:
    notifier = SystemdNotifier({"WATCHDOG_USEC": "1"}, FakeClock())
    notifier.turned(started=True, status="ready")
    notifier.stopping()
