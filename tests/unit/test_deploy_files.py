"""The files in deploy/: they load, name settings that exist, and leave the service the time and memory it needs."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from recording_worker.lookups.restrictions.static import load_restrictions
from recording_worker.lookups.teams.static import load_teams
from recording_worker.settings.load import load_settings, unknown_variables
from recording_worker.settings.model import Settings
from recording_worker.settings.units import parse_size
from tools.try_image import instructions

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SERVICES = {"local-folder.toml", "posthog.toml", "s3.toml"}
BROKER_SECONDS = 8
"""What a stop may take in addition to drain_deadline (docs/operate/deploying.md)."""
SUPERVISOR = 75 * 2**20
MANIFESTS = list(yaml.safe_load_all((DEPLOY / "kubernetes" / "recording-worker.yaml").read_text()))
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "docker" / "compose.yaml").read_text())


def manifest(kind: str) -> Any:
    (found,) = [each for each in MANIFESTS if each["kind"] == kind]
    return found


def container() -> Any:
    (only,) = manifest("StatefulSet")["spec"]["template"]["spec"]["containers"]
    return only


def pod_environment() -> dict[str, str]:
    return {each["name"]: each.get("value", "recording-worker-0") for each in container()["env"]}


def test_the_examples_are_all_known() -> None:
    assert {path.name for path in (DEPLOY / "examples").iterdir()} == SERVICES | {"teams.toml", "restrictions.toml"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_an_example_is_a_complete_configuration(name: str) -> None:
    secrets = {"RECORDING_WORKER_TEAMS_POSTGRES": "postgresql://db/db"} if name == "s3.toml" else {}
    settings = load_settings({}, DEPLOY / "examples" / name, secrets)
    assert settings.teams or settings.teams_postgres
    assert settings.storage_dir or settings.storage
    settings.check_memory()


def test_the_examples_of_teams_and_restrictions_load() -> None:
    assert load_teams(DEPLOY / "examples" / "teams.toml")
    assert load_restrictions(DEPLOY / "examples" / "restrictions.toml")


def test_the_service_of_compose_can_start() -> None:
    environment = COMPOSE["services"]["worker"]["environment"]
    settings = load_settings({}, DEPLOY / "docker" / "recording-worker.toml", environment)
    assert unknown_variables(environment) == []
    assert settings.storage == "s3://recordings"
    assert settings.teams_postgres is not None
    limits = COMPOSE["services"]["worker"]["deploy"]["resources"]["limits"]
    memory = int(limits["cpus"]) * 512 * 2**20 + SUPERVISOR
    assert int(limits["memory"].removesuffix("M")) * 2**20 > memory
    grace = int(COMPOSE["services"]["worker"]["stop_grace_period"].removesuffix("s"))
    assert grace > settings.drain_deadline + BROKER_SECONDS


def test_compose_makes_the_topics_that_the_service_writes_to() -> None:
    made = COMPOSE["services"]["topics"]["command"][0]
    settings = Settings()
    for topic in (
        settings.topic,
        settings.overflow_topic,
        settings.dlq_topic,
        settings.metadata_topic,
        settings.console_logs_topic,
        settings.warnings_topic,
    ):
        assert topic in made


def test_compose_mounts_files_that_exist() -> None:
    mounted = [
        volume.split(":")[0]
        for service in COMPOSE["services"].values()
        for volume in service.get("volumes", [])
        if volume.startswith(".")
    ]
    assert len(mounted) > 5
    assert [path for path in mounted if not (DEPLOY / "docker" / path).exists()] == []


def test_the_pods_settings_load(tmp_path: Path) -> None:
    data = manifest("ConfigMap")["data"]
    for name, text in data.items():
        (tmp_path / name).write_text(text)
    environment = pod_environment()
    assert unknown_variables(environment) == []
    settings = load_settings({}, tmp_path / "recording-worker.toml", environment)
    assert settings.group_instance_id == "recording-worker-0"
    assert load_teams(tmp_path / "teams.toml")


def test_a_pod_has_the_memory_and_the_time_that_its_settings_need() -> None:
    settings = load_settings({}, None, pod_environment())
    assert settings.memory is not None
    resources = container()["resources"]
    asked = parse_size(resources["requests"]["memory"] + "B")
    assert asked == parse_size(resources["limits"]["memory"] + "B")
    assert asked >= settings.workers * settings.memory + SUPERVISOR + 64 * 2**20, "/tmp is in memory"
    assert resources["requests"]["cpu"] == str(settings.workers)
    grace = manifest("StatefulSet")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace > settings.drain_deadline + BROKER_SECONDS


def test_a_pod_is_asked_for_its_health_and_runs_with_no_rights() -> None:
    assert [container()[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "liveness", "readiness")] == [
        "/healthz",
        "/healthz",
        "/readyz",
    ]
    security = container()["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert not security["allowPrivilegeEscalation"]
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert manifest("StatefulSet")["spec"]["template"]["spec"]["securityContext"]["runAsNonRoot"]
    assert manifest("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_systemd_waits_as_long_as_the_service_takes() -> None:
    unit = (DEPLOY / "systemd" / "recording-worker.service").read_text()
    values = dict(re.findall(r"^(\w+)=(.*)$", unit, re.MULTILINE))
    assert values["Type"] == "notify"
    assert int(values["TimeoutStopSec"]) > Settings().drain_deadline + BROKER_SECONDS
    assert 60 < int(values["WatchdogSec"]) < 240, "between /healthz and the supervisor's own watchdog"
    assert values["RestartPreventExitStatus"] == "2"


def test_the_image_gets_the_versions_that_are_tested() -> None:
    def versions(path: Path) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==(\S+)", path.read_text(), re.MULTILINE))

    image, tested = versions(DEPLOY / "docker" / "requirements.lock"), versions(ROOT / "requirements.lock")
    assert image.items() <= tested.items(), "run `make lock`"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = [*project["dependencies"], *extras["kafka"], *extras["s3"], *extras["postgres"], *extras["redis"]]
    assert {re.split(r"[\[>=<]", line)[0].lower() for line in needed} <= image.keys(), "run `make lock`"


def test_the_image_runs_without_root_and_shell() -> None:
    lines = (DEPLOY / "docker" / "Dockerfile").read_text().splitlines()
    last = lines[len(lines) - lines[::-1].index("FROM debian:bookworm-slim") :]
    assert 'ENTRYPOINT ["recording-worker"]' in last
    assert "USER 10001:10001" in last


def test_the_steps_of_the_image_are_read_whole() -> None:
    """`make image` does what these say."""
    steps = [*instructions((DEPLOY / "docker" / "Dockerfile").read_text())]
    assert [rest for word, rest in steps if word == "FROM"] == ["debian:bookworm-slim AS build", "debian:bookworm-slim"]
    runs = [rest for word, rest in steps if word == "RUN"]
    assert all(run.startswith(("apt-get update && ", "python3 -m venv ", "/opt/")) for run in runs)
    assert [run.count("rm -rf /var/lib/apt/lists/*") for run in runs if run.startswith("apt-get")] == [1, 1]
    assert steps[-2:] == [("ENTRYPOINT", '["recording-worker"]'), ("CMD", '["run"]')]
