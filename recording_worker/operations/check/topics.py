"""Judges topics by what is known about them. It asks nobody."""

from collections.abc import Iterator, Mapping, Sequence

from recording_worker.kafka.probe import TopicFacts
from recording_worker.operations.check.finding import Finding
from recording_worker.settings.units import duration_text, size_text
from recording_worker.text import counted

INPUT = "topic"
"""The setting of the input topic."""
_DAY_MS = 86_400_000
AS_THEY_CAME = frozenset({"dlq_topic", "overflow_topic", "backfill_topic"})
"""Settings of topics that take messages unchanged."""
_LEAST_RECORD_BYTES = 1_000_000
"""What every output topic should take, about Kafka's default: a metadata record may hold 25 long URLs."""


def judge_topic(
    setting: str,
    facts: TopicFacts,
    *,
    workers: int,
    exactly_once: bool,
    input_topic: TopicFacts | None = None,
    ask_rights: bool = True,
) -> Iterator[Finding]:
    """Yield findings about a topic that exists.

    `input_topic`: what is known about the input topic, whose messages some output topics must take. `ask_rights`: False
    if the client that asked is not known to the brokers as the one that will read or write.
    """
    subject = setting if setting != INPUT else "topic"
    found: list[Finding] = []
    name = f"topic {facts.name} ({setting})"

    def warn(text: str, advice: str = "") -> None:
        found.append(Finding.warning(subject, f"{name} {text}", advice))

    right = "READ" if setting == INPUT else "WRITE"
    if ask_rights and facts.allowed is not None and right not in facts.allowed:
        verb = "read" if setting == INPUT else "written to"
        text = f"topic {facts.name} can't be {verb}: the user has no right to {right.capitalize()}"
        found.append(Finding.problem(subject, text, f"give it {right.capitalize()} on the topic"))
    if facts.leaderless:
        warn(f"has partitions that no broker leads: {list(facts.leaderless)}", "start the brokers that hold them")
    if setting == INPUT and facts.partitions < workers:
        advice = "give the topic more partitions, or set fewer workers"
        warn(f"has {counted(facts.partitions, 'partition')} for {counted(workers, 'worker')} on this host", advice)
    if facts.config is not None:
        for text, advice in _config_remarks(setting, facts, facts.config, exactly_once, input_topic):
            warn(text, advice)
    unknown = list(_unknown(facts, ask_rights))
    yield from found or [Finding.ok(subject, f"{_description(facts)}{_not_known(unknown)}")]


def _config_remarks(
    setting: str, facts: TopicFacts, config: Mapping[str, str], exactly_once: bool, input_topic: TopicFacts | None
) -> Iterator[tuple[str, str]]:
    """Yield what is remarkable about a topic's configuration, and what to do about it."""
    if "compact" in config.get("cleanup.policy", ""):
        if setting == INPUT:
            yield "is compacted: all but the last message of a key is lost", "set cleanup.policy=delete"
        elif setting == "metadata_topic" and exactly_once:
            yield "is compacted: verify and sweep can't work", "set cleanup.policy=delete"
    retention_ms = _number(config, "retention.ms")
    if setting == INPUT and retention_ms is not None and 0 <= retention_ms < _DAY_MS:
        kept = duration_text(retention_ms / 1000)
        yield f"keeps messages for {kept} only: what is not read by then is lost", "set retention.ms to a day or more"
    needed = _number(config, "min.insync.replicas")
    if setting != INPUT and needed is not None and facts.in_sync < needed:
        text = f"has {facts.in_sync} copies in sync, and takes records with {needed} only (min.insync.replicas)"
        yield text, "start the brokers that hold the copies, or set min.insync.replicas lower"
    most = _number(config, "max.message.bytes")
    if most is None or setting == INPUT:
        return
    largest = _number((input_topic and input_topic.config) or {}, "max.message.bytes")
    if setting in AS_THEY_CAME and largest is not None and most < largest:
        text = f"takes messages of {size_text(most)}, and the input topic of {size_text(largest)}"
        yield f"{text}: larger ones are lost on their way", f"set max.message.bytes={largest}"
    elif most < _LEAST_RECORD_BYTES:
        yield f"takes records of {size_text(most)} only: larger ones are left out", "set max.message.bytes=1048588"


def _description(facts: TopicFacts) -> str:
    parts = [facts.name, counted(facts.partitions, "partition"), f"replication {facts.replicas}"]
    config = facts.config or {}
    retention_ms = _number(config, "retention.ms")
    if retention_ms is not None:
        parts.append("kept for ever" if retention_ms < 0 else f"kept {duration_text(retention_ms / 1000)}")
    most = _number(config, "max.message.bytes")
    if most is not None:
        parts.append(f"messages up to {size_text(most)}")
    return ", ".join(parts)


def _unknown(facts: TopicFacts, ask_rights: bool) -> Iterator[str]:
    if facts.config is None:
        yield "configuration"
    if facts.allowed is None or not ask_rights:
        yield "rights"


def _not_known(names: Sequence[str]) -> str:
    return f" (not known: {' and '.join(names)})" if names else ""


def _number(config: Mapping[str, str], name: str) -> int | None:
    text = config.get(name, "")
    return int(text) if text.lstrip("-").isdecimal() else None
