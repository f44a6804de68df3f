"""What a process imports at its start: it is a good part of what a start takes, and of an idle worker's memory."""

import subprocess
import sys

import pytest

NEEDLESS = ("rich", "pygments", "click", "recording_worker.cli", "recording_worker.lookups.restrictions.static")


def imported(code: str) -> set[str]:
    """Return the modules that a new Python has after this code."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


def test_a_worker_imports_nothing_that_only_commands_need() -> None:
    modules = imported("import recording_worker.__main__, recording_worker.processes.worker.main")
    assert "structlog" in modules
    assert not modules.intersection(NEEDLESS)


@pytest.mark.parametrize("command", ["run", "produce"])
def test_a_command_that_prints_no_table_does_without_rich(command: str) -> None:
    modules = imported(f"from recording_worker.cli import cli\ncli.get_command(None, {command!r})")
    assert "structlog" in modules
    assert "rich" not in modules


def test_a_command_that_prints_tables_still_gets_rich() -> None:
    assert "rich.table" in imported("from recording_worker.cli import cli\ncli.get_command(None, 'blocks')")


def test_garbage_is_not_looked_for_while_the_command_is_imported() -> None:
    assert "gc" in imported("import recording_worker.__main__, gc\nassert gc.get_threshold()[0] > 700")
