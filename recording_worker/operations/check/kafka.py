"""Checks Kafka: brokers, topics, what this client may do, and transactions."""

from collections.abc import Iterator, Sequence

from recording_worker.errors import ConfigError
from recording_worker.kafka.aside import call_aside
from recording_worker.kafka.output_topics import ask_for_topics, outputs
from recording_worker.kafka.probe import KafkaProbe, TopicFacts, has_own_identity, refused_configurations
from recording_worker.kafka.transactions import can_transact
from recording_worker.operations.check.finding import Finding
from recording_worker.operations.check.run import Check
from recording_worker.operations.check.topics import INPUT, judge_topic
from recording_worker.settings.choices import Delivery
from recording_worker.settings.model import Settings
from recording_worker.text import counted

_ANSWER_SECONDS = 3.0
_TRANSACTION_SECONDS = 5.0
"""A broker may have to make the topic of transactions first."""


def kafka_checks(settings: Settings, *, connect_seconds: float, before_start: bool) -> Iterator[Check]:
    """Yield a check for each cluster.

    `before_start`: brokers that create missing topics shall create them now, and transactions are left out, because the
    service tries them next.
    """
    refused = refused_configurations(settings)
    try:
        clusters = clusters_of(settings)
    except ConfigError as error:
        refused.append(error)
    if refused:
        yield Check("kafka", lambda: (Finding.problem("kafka", error) for error in refused))
        return
    for cluster, names in clusters:
        yield Check("kafka", _ClusterCheck(settings, cluster, names, connect_seconds, before_start=before_start).look)


def clusters_of(settings: Settings) -> list[tuple[Settings, list[str]]]:
    """Return for each cluster its settings, and the settings of the topics on it; the main one first.

    Raises ConfigError.
    """
    clusters: dict[str, tuple[Settings, list[str]]] = {"": (settings, [INPUT])}
    for name, cluster in outputs(settings).items():
        key = "" if cluster is settings else cluster.bootstrap_servers
        clusters.setdefault(key, (cluster, []))[1].append(name)
    return list(clusters.values())


class _ClusterCheck:
    """Looks at one cluster, and the topics on it."""

    def __init__(
        self, settings: Settings, cluster: Settings, names: Sequence[str], connect_seconds: float, *, before_start: bool
    ) -> None:
        """`cluster`: the settings of the cluster. `names`: the settings of the topics on it."""
        self._settings = settings
        self._cluster = cluster
        self._topics = {name: str(getattr(settings, name)) for name in names}
        self._connect_seconds = connect_seconds
        self._before_start = before_start

    def look(self) -> Iterator[Finding]:
        probe = KafkaProbe(self._cluster, connect_seconds=self._connect_seconds, answer_seconds=_ANSWER_SECONDS)
        yield Finding.ok("kafka", f"{counted(probe.brokers, 'broker')} at {self._cluster.bootstrap_servers}")
        transactions = None
        if INPUT in self._topics and self._settings.delivery is Delivery.EXACTLY_ONCE and not self._before_start:
            transactions = call_aside(lambda: can_transact(self._settings, _TRANSACTION_SECONDS))
        facts = probe.topics(self._topics.values())
        missing = {name: topic for name, topic in self._topics.items() if facts[topic].missing}
        for name in self._topics:
            if name not in missing:
                yield from self._topic(name, facts)
        yield from self._missing(missing, facts, probe)
        if INPUT in self._topics:
            yield from self._group(probe)
        if transactions is not None:
            yield self._transactions(transactions.result())

    def _topic(self, name: str, facts: dict[str, TopicFacts]) -> Iterator[Finding]:
        topic = facts[self._topics[name]]
        if topic.error:
            yield Finding.problem(name, _unusable(name, topic.name, topic.error))
            return
        own = self._cluster.kafka_consumer if name == INPUT else self._cluster.kafka_producer
        yield from judge_topic(
            name,
            topic,
            workers=self._settings.workers,
            exactly_once=self._settings.delivery is Delivery.EXACTLY_ONCE,
            input_topic=facts.get(self._settings.topic),
            ask_rights=not has_own_identity(own),
        )

    def _missing(self, missing: dict[str, str], facts: dict[str, TopicFacts], probe: KafkaProbe) -> Iterator[Finding]:
        """Yield findings about topics that don't exist. Brokers never create the input topic for a consumer."""
        errors = {topic: facts[topic].error for topic in missing.values()}
        outputs = [topic for name, topic in missing.items() if name != INPUT]
        are_created = bool(outputs) and not self._before_start and bool(probe.creates_missing())
        if outputs and self._before_start:
            still = ask_for_topics(self._cluster, outputs, _ANSWER_SECONDS)
            errors = {topic: still.get(topic, "") if topic in outputs else error for topic, error in errors.items()}
        for name, topic in missing.items():
            if name != INPUT and (are_created or not errors[topic]):
                text = f"topic {topic} ({name}) is missing: the brokers create it as they create any"
                yield Finding.warning(name, text, "check --create-topics creates it with settings of its own")
            else:
                yield Finding.problem(name, _unusable(name, topic, errors[topic]), "check --create-topics creates it")

    def _transactions(self, are_possible: bool) -> Finding:
        if are_possible:
            begin = self._settings.group_id
            return Finding.ok("transactions", f"can be used under transactional ids that begin with {begin}")
        return Finding.warning(
            "transactions",
            "these brokers have no transactions: delivery is at_least_once, so a crash may write recordings twice",
            "set delivery to at_least_once to confirm that",
        )

    def _group(self, probe: KafkaProbe) -> Iterator[Finding]:
        group = self._settings.group_id
        rights = None if has_own_identity(self._cluster.kafka_consumer) else probe.group_rights(group)
        if rights is None:
            yield Finding.ok("group_id", f"{group} (not known: rights)")
        elif "READ" in rights:
            yield Finding.ok("group_id", group)
        else:
            text = f"group {group} can't be joined: the user has no right to Read"
            yield Finding.problem("group_id", text, "give it Read on the group")


def _unusable(name: str, topic: str, error: str) -> str:
    if name == INPUT:
        return f"topic {topic} can't be read: {error}"
    return f"topic {topic} ({name}) can't be written to: {error}"
