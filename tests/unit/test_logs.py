import json
import logging
import re
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pytest
import structlog

from recording_worker.cli.options import settings_from
from recording_worker.logs.raw_output import RawOutput
from recording_worker.logs.setup import configure_logs
from recording_worker.settings.choices import LogLevel
from tests.unit.command import run


def test_json_lines_carry_the_process_and_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogLevel.INFO, as_json=True, process="worker", worker=3)
    log = structlog.get_logger()
    log.debug("too fine")
    log.info("flushed", sessions=2)
    try:
        secret = "hunter2"
        raise ValueError(len(secret))
    except ValueError:
        log.exception("failed")
    flushed, failed = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (flushed["event"], flushed["worker"], flushed["sessions"]) == ("flushed", 3, 2)
    assert failed["exception"][0]["exc_type"] == "ValueError"
    assert "hunter2" not in json.dumps(failed)


def test_text_lines(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogLevel.DEBUG, as_json=False, process="supervisor")
    structlog.get_logger().debug("joined", partitions=[1])
    [line] = capsys.readouterr().err.splitlines()
    assert "debug" in line
    assert "joined" in line
    assert "process=supervisor" in line


def test_warnings_of_libraries_come_out_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogLevel.INFO, as_json=True)
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("some.library").warning("retrying %s", "put")
    [line] = capsys.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["source"], entry["level"]) == ("retrying put", "some.library", "warning")


@pytest.mark.parametrize(("level", "lines"), [("info", 2), ("warning", 1)])
def test_every_command_logs_as_its_settings_say(capsys: pytest.CaptureFixture[str], level: str, lines: int) -> None:
    settings_from(None, {"log_level": level, "log_json": True})
    structlog.get_logger().info("news")
    structlog.get_logger().warning("trouble")
    out, err = capsys.readouterr()
    assert out == ""
    assert [json.loads(line)["event"] for line in err.splitlines()] == ["news", "trouble"][-lines:]


HOSTILE = "x\n2026-11-27T00:00:00Z [info     ] forged\x1b[2J\x1b]0;title\x07\x9b31m\u2028\r\x7f\ud800"
"""Line breaks that would forge a line, and what a terminal obeys."""


@pytest.mark.parametrize("as_json", [False, True])
def test_texts_from_outside_forge_no_line_and_control_no_terminal(
    capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    configure_logs(LogLevel.INFO, as_json=as_json)
    log = structlog.get_logger()
    log.warning(HOSTILE, session=HOSTILE, ids=[HOSTILE], **{"a b": HOSTILE})
    logging.getLogger("some.library").error("%s", HOSTILE)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("failed")
    out = capsys.readouterr().err
    assert not set(out) & set("\x1b\x07\x9b\r\x7f\u2028")
    lines = out.split("\n")[:-1]
    if as_json:
        first, second, third = (json.loads(line) for line in lines)
        assert first["event"] == first["session"] == first["ids"][0] == second["event"] == HOSTILE
        assert third["exception"][0]["exc_value"] == HOSTILE
    else:
        assert len([line for line in lines if re.match("20", line)]) == 3
        assert all(line == "" or line.startswith("  ") for line in lines[3:])


def test_what_nobody_catches_is_a_line_of_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogLevel.INFO, as_json=True, process="supervisor")
    thread = threading.Thread(target=lambda: 1 / 0)
    thread.start()
    thread.join()
    try:
        raise ValueError("not caught")
    except ValueError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("old\nthing", stacklevel=1)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["exception"][0]["exc_type"] for line in lines[:2]] == ["ZeroDivisionError", "ValueError"]
    assert "old\nthing" in lines[2]["event"]
    assert {line["process"] for line in lines} == {"supervisor"}


def test_lines_name_the_batch_that_they_are_about(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogLevel.INFO, as_json=True, process="worker", worker=3)
    with structlog.contextvars.bound_contextvars(batch="b-1"):
        structlog.get_logger().info("inside")
    structlog.get_logger().info("outside")
    inside, outside = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (inside["batch"], inside["worker"], outside.get("batch")) == ("b-1", 3, None)


@pytest.mark.parametrize("arguments", [("--no-such-flag", "--log-json"), ("--log-json", "--max-batch-age", "soon")])
def test_errors_of_the_command_line_are_json_if_that_was_asked_for(arguments: tuple[str, ...]) -> None:
    done = run("run", *arguments)
    assert done.code == 2
    [line] = done.err.splitlines()
    assert json.loads(line)["level"] == "critical"


def test_the_file_may_ask_for_json_though_it_is_wrong_elsewhere(tmp_path: Path) -> None:
    config = tmp_path / "worker.toml"
    config.write_text("log_json = true\nmax_batch_bites = 1\n")
    done = run("run", "--config", config)
    assert "max_batch_bites is not a setting" in json.loads(done.err)["event"]


def test_what_a_worker_writes_to_stderr_itself_becomes_lines(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = (
        "import os, sys, faulthandler; from recording_worker.logs.raw_output import divert_stderr\n"
        "log = divert_stderr(sys.argv[1], 3); faulthandler.enable(); log.write('a line of the log\\n'); log.flush()\n"
        "os.write(2, b'from \\xff C\\n'); os.abort()\n"
    )
    done = subprocess.run([sys.executable, "-c", script, tmp_path], stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == "a line of the log\n"
    configure_logs(LogLevel.INFO, as_json=True)
    raw = RawOutput(str(tmp_path))
    raw.look()
    raw.look()
    [line] = capsys.readouterr().err.splitlines()
    found = json.loads(line)
    assert found["worker"] == 3
    assert found["text"][:2] == ["from \\xff C", "Fatal Python error: Aborted"]
