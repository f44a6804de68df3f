import json
import logging

import pytest
import structlog

from recording_worker.cli.options import settings_from
from recording_worker.logs import configure_logs
from recording_worker.settings.choices import LogLevel


def test_json_lines_carry_the_process_and_no_local_variables(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs(LogLevel.INFO, as_json=True, process="worker 3")
    log = structlog.get_logger()
    log.debug("too fine")
    log.info("flushed", sessions=2)
    try:
        secret = "hunter2"
        raise ValueError(len(secret))
    except ValueError:
        log.exception("failed")
    flushed, failed = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (flushed["event"], flushed["process"], flushed["sessions"]) == ("flushed", "worker 3", 2)
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
