"""What the command line says when something is wrong: one clear line, no traceback, an exit code that is not 0."""

import resource
import time
from pathlib import Path

import pytest

from recording_worker import __version__
from recording_worker.cli import COMMANDS
from recording_worker.kafka.embedded import EmbeddedBroker
from recording_worker.settings.load import SERVICE_SCALARS, flag_of
from tests.integration.command import Result, run
from tests.integration.service import TOPIC
from tests.sample import SAMPLE


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_is_there_and_quick(command: list[str]) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = run(*command, "--help")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith(" ".join(["Usage: recording-worker", *command]))
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert seconds < (0.3 if not command else 1.0)


def test_all_settings_of_the_service_are_options_of_run() -> None:
    text = run("run", "--help").out
    assert not [name for name in SERVICE_SCALARS if flag_of(name) not in text]


def test_no_command_shows_the_help() -> None:
    assert run() == run("--help")


def test_dlq_without_its_command_shows_its_help() -> None:
    result = run("dlq")
    assert (result.code, result.out, result.err) == (2, "", run("dlq", "--help").out)


def test_the_version() -> None:
    assert run("--version").out.split()[-1] == __version__


def expect(result: Result, code: int, *texts: str) -> None:
    assert result.code == code, result
    assert result.out == ""
    assert "Traceback" not in result.err
    for text in texts:
        assert text in result.error


def test_an_unknown_command_or_option() -> None:
    expect(run("rum"), 2, "No such command 'rum'", "see 'recording-worker --help'")
    expect(run("run", "--max-batch-byte", "1"), 2, "No such option", "see 'recording-worker run --help'")
    expect(run("run", "--codec", "gzip"), 2, "'gzip' is not one of 'zstd', 'snappy'")


def test_what_run_needs() -> None:
    result = run("run")
    assert result.code == 2
    storage, teams = result.err.splitlines()
    assert "no storage" in storage
    assert "--storage-dir" in storage
    assert "no teams" in teams
    assert "--any-token" in teams


def test_settings_that_are_wrong(tmp_path: Path) -> None:
    config = tmp_path / "worker.toml"
    config.write_text('max_batch_bites = 1\nworkers = "many"\n')
    result = run("run", "--config", config, RECORDING_WORKER_OPS_PORT="-1")
    assert result.code == 2
    unknown, workers, port = (line.removeprefix("recording-worker: error: ") for line in result.err.splitlines())
    assert unknown == f"{config}: max_batch_bites is not a setting (did you mean max_batch_bytes?)"
    assert workers.startswith(f"workers in {config}: must be a valid integer")
    assert port.startswith("RECORDING_WORKER_OPS_PORT: must be greater than or equal to 0")


def test_a_config_file_that_is_missing_or_broken(tmp_path: Path) -> None:
    config = tmp_path / "worker.toml"
    expect(run("run", "--config", config), 2, f"can't read {config}: No such file or directory")
    config.write_text("topic = recordings\n")
    expect(run("run", RECORDING_WORKER_CONFIG=str(config)), 2, f"{config}: not TOML: ", "line 1")


def test_a_stray_variable_is_only_a_warning(tmp_path: Path) -> None:
    result = run("ingest", SAMPLE, "--out", tmp_path / "out", "--any-token", "--json", RECORDING_WORKER_CODEK="zstd")
    assert result.code == 0
    assert result.err == (
        "recording-worker: warning: RECORDING_WORKER_CODEK is not a setting (did you mean RECORDING_WORKER_CODEC?)\n"
    )


def test_a_teams_file_that_is_missing_or_wrong(broker: EmbeddedBroker, tmp_path: Path) -> None:
    teams = tmp_path / "teams.toml"
    ingest = ("ingest", SAMPLE, "--out", tmp_path / "out", "--teams", teams)
    expect(run(*ingest), 2, f"{teams}: No such file or directory")
    teams.write_text('[[team]]\nid = "one"\ntoken = "t"\n')
    expect(run(*ingest), 2, str(teams), "id")
    assert not (tmp_path / "out").exists()
    result = run_service(broker, "--storage-dir", tmp_path, "--teams", teams)
    assert result.code == 2
    expect_error(result, str(teams))


def test_an_input_that_is_missing_or_not_a_file(tmp_path: Path) -> None:
    for command in (("ingest", "--out", tmp_path / "out", "--any-token"), ("produce",)):
        expect(run(*command, tmp_path / "missing"), 2, f"File '{tmp_path / 'missing'}' does not exist")
        expect(run(*command, tmp_path), 2, "is a directory")
        expect(run(*command, "/dev/null"), 2, "'/dev/null' is not a regular file")
        expect(run(*command), 2, "Missing argument 'FILE...'")


def test_a_folder_that_can_not_be_written(broker: EmbeddedBroker, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    below = tmp_path / "file" / "out"
    expect(run("ingest", SAMPLE, "--any-token", "--out", below), 2, f"{tmp_path / 'file'} is not a folder")
    expect(run("demo", "--out", below), 2, f"can't write {below}: Not a directory")
    result = run_service(broker, "--storage-dir", below, "--any-token")
    assert result.code == 2
    expect_error(result, str(below))


def test_a_missing_broker(tmp_path: Path) -> None:
    started = time.monotonic()
    address = ("--bootstrap-servers", "127.0.0.1:1", "--ops-port", "0")
    result = run("run", "--any-token", "--storage-dir", tmp_path, *address)
    assert result.code == 3
    expect_error(result, "no Kafka broker reachable at 127.0.0.1:1")
    assert time.monotonic() - started < 30


def run_service(broker: EmbeddedBroker, *arguments: str | Path) -> Result:
    address = ("--bootstrap-servers", broker.bootstrap_servers, "--topic", TOPIC, "--ops-port", "0")
    return run("run", *address, *arguments)


def expect_error(result: Result, text: str) -> None:
    """A failure that ends with one clear line; the service may have logged before."""
    assert result.code != 0
    assert "Traceback" not in result.err
    last = result.err.splitlines()[-1]
    assert last.startswith("recording-worker: error: ")
    assert text in last
