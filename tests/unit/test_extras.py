"""The package without its extras: files are read, and a missing library is named in one line."""

import subprocess
import sys
import tomllib
from contextlib import ExitStack
from multiprocessing import Pipe
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from recording_worker.clock import SystemClock
from recording_worker.dependencies import Dependencies
from recording_worker.errors import ConfigError
from recording_worker.extras import EXTRAS, missing_extras_named
from recording_worker.lookups.refreshed import Stores
from recording_worker.lookups.restrictions.open import open_restrictions
from recording_worker.lookups.teams.open import open_teams
from recording_worker.metrics import Metrics, ServeMetrics
from recording_worker.operations.check.finding import Verdict
from recording_worker.operations.check.host import settings_check
from recording_worker.operations.check.lookups import lookup_checks
from recording_worker.operations.check.run import run_checks
from recording_worker.processes.control import BootFailed, Channel, FromWorker
from recording_worker.processes.worker import main as worker
from recording_worker.reading.catalogue import Catalogue
from recording_worker.serving.place import Place
from recording_worker.serving.server import source_of
from recording_worker.settings.load import load_settings
from tests.sample import SAMPLE

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
WITHOUT_EXTRAS = f"""
import sys
sys.modules.update(dict.fromkeys({tuple(EXTRAS)}))  # an import of these fails now, as if they were not installed
from recording_worker.cli import main
main()
"""


def run_without_extras(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run a command in a process in which the libraries of all extras are missing."""
    command = [sys.executable, "-c", WITHOUT_EXTRAS, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_extra_and_its_libraries_are_known() -> None:
    optional = PROJECT["optional-dependencies"]
    imported = {"pyjwt": "jwt", "pynacl": "nacl", "confluent-kafka": "confluent_kafka"}
    imported |= dict.fromkeys((Requirement(line).name for line in optional["tracing"]), "opentelemetry")
    declared = {
        (imported.get(Requirement(line).name, Requirement(line).name), extra)
        for extra, lines in optional.items()
        if extra not in ("all", "dev", "profile")  # py-spy is a program, and no library
        for line in lines
    }
    assert declared == {(library, extra) for library, (_, extra) in EXTRAS.items()}
    (everything,) = optional["all"]
    assert Requirement(everything).extras == {extra for _, extra in EXTRAS.values()} - {"bench"}  # large; no service


def test_files_are_written_and_read_without_any_extra(tmp_path: Path) -> None:
    done = run_without_extras("ingest", SAMPLE, "--out", tmp_path / "out", "--any-token")
    assert done.returncode == 0, done.stderr
    listed = run_without_extras("sessions", tmp_path / "out/blocks", "--json", "--limit", 1)
    assert listed.returncode == 0, listed.stderr
    assert '"session_id"' in listed.stdout


@pytest.mark.parametrize(
    ("arguments", "purpose", "library", "extra"),
    [
        (["produce", SAMPLE], "Kafka", "confluent_kafka", "kafka"),
        (["run", "--any-token", "--storage-dir", "."], "Kafka", "confluent_kafka", "kafka"),
        (["dlq", "list"], "Kafka", "confluent_kafka", "kafka"),
        (["blocks", "s3://bucket/blocks"], "S3", "botocore", "s3"),
        (["serve", "--storage-dir", "."], "serving blocks", "uvicorn", "serve"),
    ],
)
def test_a_command_names_the_extra_that_it_needs(arguments: list[str], purpose: str, library: str, extra: str) -> None:
    done = run_without_extras(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"recording-worker: error: {purpose} needs {library}, which is not installed:"
        f" pip install 'recording-worker[{extra}]'\n"
    )


def missing(monkeypatch: pytest.MonkeyPatch, library: str, user: str) -> None:
    """Let the library be missing when the module `user` is imported for the first time."""
    for name in list(sys.modules):
        if name == user or name.startswith((f"{user}.", f"{library}.")):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)


def test_lookups_name_the_extra_that_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch, "psycopg", "recording_worker.lookups.teams.postgres")
    missing(monkeypatch, "redis", "recording_worker.lookups.redis")
    missing(monkeypatch, "redis", "recording_worker.lookups.restrictions.redis")
    settings = load_settings({"teams_postgres": "postgres://host/db", "restrictions_redis": "redis://host"}, None)
    stores = Stores(SystemClock(), Metrics(), interval=1.0, stale_after=1.0)
    with pytest.raises(ConfigError, match=r"pip install 'recording-worker\[postgres\]'"), missing_extras_named():
        open_teams(settings, stores, Dependencies(SystemClock()))
    with pytest.raises(ConfigError, match=r"pip install 'recording-worker\[redis\]'"), missing_extras_named():
        open_restrictions(settings, stores, Dependencies(SystemClock()))


def test_serve_names_the_extra_of_clickhouse(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    missing(monkeypatch, "urllib3", "recording_worker.lookups.clickhouse")
    settings = load_settings({"storage_dir": str(tmp_path), "clickhouse": "http://127.0.0.1:8123"}, None)
    parts = Place(settings), Catalogue(tmp_path / "index.sqlite"), ServeMetrics(), SystemClock()
    with pytest.raises(ConfigError, match=r"pip install 'recording-worker\[clickhouse\]'"), missing_extras_named():
        source_of(settings, *parts)


def test_a_worker_reports_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch, "boto3", "recording_worker.storage.s3")
    ours, theirs = Pipe()
    settings = load_settings({"storage": "s3://bucket"}, None)
    with pytest.raises(SystemExit) as ended, ExitStack() as at_exit:
        worker._work(settings, "host", 0, Channel(theirs), Metrics(), at_exit)
    assert ended.value.code == ConfigError.exit_code
    channel: Channel[None, FromWorker] = Channel(ours)
    [report] = [message for message in channel.receive() if isinstance(message, BootFailed)]
    assert "pip install 'recording-worker[s3]'" in str(report.error)


def test_the_check_says_that_the_extra_for_tracing_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings({"storage": "blackhole:", "any_token": True, "tracing": True}, None)
    [fine] = run_checks([settings_check(settings)], 10)
    assert fine.verdict is Verdict.OK
    missing(monkeypatch, "opentelemetry", "recording_worker.tracing.spans")
    [found] = run_checks([settings_check(settings)], 10)
    assert (found.verdict, found.exit_code) == (Verdict.PROBLEM, ConfigError.exit_code)
    assert found.text.endswith("which is not installed: pip install 'recording-worker[tracing]'")


def test_a_check_that_needs_a_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch, "psycopg", "recording_worker.lookups.teams.postgres")
    settings = load_settings({"teams_postgres": "postgres://host/db"}, None)
    [found] = run_checks([*lookup_checks(settings)], 10)
    assert (found.verdict, found.exit_code) == (Verdict.PROBLEM, ConfigError.exit_code)
    assert found.text.endswith("which is not installed: pip install 'recording-worker[postgres]'")


def test_other_missing_modules_stay_what_they_are() -> None:
    with pytest.raises(ModuleNotFoundError), missing_extras_named():
        import a_module_that_does_not_exist  # type: ignore[import-not-found] # noqa: F401 - that is the test
