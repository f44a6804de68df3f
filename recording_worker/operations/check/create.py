"""Creates the topics that the settings name and that are missing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from recording_worker.errors import BootError, ConfigError
from recording_worker.kafka.admin import Admin
from recording_worker.kafka.probe import KafkaProbe
from recording_worker.operations.check.finding import Finding
from recording_worker.operations.check.kafka import clusters_of
from recording_worker.operations.check.topics import AS_THEY_CAME, INPUT
from recording_worker.settings.model import Settings
from recording_worker.text import counted

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 5.0
_MAX_REPLICATION = 3
_MONTH_MS = 30 * 86_400_000
_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    INPUT: {"cleanup.policy": "delete"},
    # verify and sweep look files up in it, and files are kept for up to five years
    "metadata_topic": {"cleanup.policy": "delete", "retention.ms": "-1"},
    # people need time to look at what is wrong
    "dlq_topic": {"cleanup.policy": "delete", "retention.ms": str(_MONTH_MS)},
}
_OTHERWISE: Mapping[str, str] = {"cleanup.policy": "delete"}


@dataclass(frozen=True, slots=True)
class NewTopics:
    """How to create topics."""

    partitions: int
    replication: int | None
    """Copies of each partition; if not set, three, or as many as there are brokers."""
    config: Mapping[str, str]
    """Kafka's settings of topics, for all of them; `TOPIC:NAME` for one, TOPIC being the setting that names it."""


def parse_config(texts: tuple[str, ...]) -> dict[str, str]:
    """Parse `[TOPIC:]NAME=VALUE` into the keys and values of `NewTopics.config`. Raises ConfigError."""
    config = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip() or not value:
            raise ConfigError(f"--topic-config {text}: must be NAME=VALUE, or TOPIC:NAME=VALUE")
        config[name.strip()] = value
    return config


def create_topics(settings: Settings, new: NewTopics) -> Iterator[Finding]:
    """Create what is missing; yield what was created, with all that was asked for. Raises BootError and ConfigError."""
    known = {name for _, names in clusters_of(settings) for name in names}
    for key in new.config:
        if (setting := key.partition(":")[0]) not in known and ":" in key:
            raise ConfigError(f"--topic-config {key}: {setting} is not one of {', '.join(sorted(known))}")
    for cluster, names in clusters_of(settings):
        probe = KafkaProbe(cluster, connect_seconds=_CONNECT_SECONDS, answer_seconds=_ANSWER_SECONDS)
        topics = {name: str(getattr(settings, name)) for name in names}
        facts = probe.topics(topics.values())
        replication = min(_MAX_REPLICATION, probe.brokers) if new.replication is None else new.replication
        largest = (facts[settings.topic].config or {}).get("max.message.bytes") if INPUT in topics else None
        admin = Admin(cluster, _CONNECT_SECONDS)
        made: set[str] = set()
        for name, topic in topics.items():
            if facts[topic].missing and topic not in made:
                made.add(topic)
                config = _config(name, new.config, replication, largest)
                yield _create(admin, name, topic, new.partitions, replication, config)


def _config(name: str, given: Mapping[str, str], replication: int, largest: str | None) -> dict[str, str]:
    """Return the settings of a new topic. `largest`: what the input topic takes, if it is there already."""
    config = dict(_DEFAULTS.get(name, _OTHERWISE))
    if replication >= _MAX_REPLICATION:
        config["min.insync.replicas"] = str(replication - 1)
    if name in AS_THEY_CAME and largest is not None:
        config["max.message.bytes"] = largest
    config |= {key: value for key, value in given.items() if ":" not in key}
    config |= {
        key.partition(":")[2]: value for key, value in given.items() if key.partition(":")[0] == name and ":" in key
    }
    return config


def _create(
    admin: Admin, name: str, topic: str, partitions: int, replication: int, config: Mapping[str, str]
) -> Finding:
    shape = ", ".join(
        [counted(partitions, "partition"), f"replication {replication}", *(f"{key}={config[key]}" for key in config)]
    )
    try:
        admin.create_topic(topic, config, partitions, replication)
    except BootError as error:
        return Finding.problem(name, f"{error} (asked for: {shape})")
    return Finding.ok(name, f"created topic {topic}: {shape}")
