"""The id of a topic. A topic that is deleted and created again has another one, though its name is the same."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NoAnswerError

import structlog
from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient, TopicDescription  # type: ignore[attr-defined]

from recording_worker.backoff import Backoff
from recording_worker.clock import Clock
from recording_worker.dependencies import DependencyWatch
from recording_worker.errors import BootError, FlushError
from recording_worker.kafka.answers import KafkaAnswers
from recording_worker.kafka.clients import BROKER_TIMEOUT, QUIET_LOGGER, as_config_error, client_config
from recording_worker.kafka.log_ends import LogEnds
from recording_worker.settings.model import Settings

log = structlog.get_logger()

_TIMEOUT = 3.0
_ASK_SECONDS = 1.0
"""How often the id is asked for while the service runs."""
_CHECK_SECONDS = 10.0
"""How often a topic that is followed is asked for its id."""
_NO_ID = "A" * 22
"""What a broker says that keeps no ids (Kafka before 2.8): zero."""
_BACKOFF = Backoff(first=0.2, longest=5.0)


class TopicWatch:
    """Knows the id of a topic, as of a second or two ago, and so whether the brokers answer. For one thread."""

    def __init__(self, settings: Settings, clock: Clock, watch: DependencyWatch) -> None:
        """`watch` is told how the brokers answer."""
        self._topic = settings.topic
        self._clock = clock
        self._answers = KafkaAnswers(clock, watch)
        self._client = _client(settings, self._answers.client_error)
        self.ends = LogEnds(self._client, settings.topic, clock)
        """The ends of its partitions' logs."""
        self._can_ask = True
        self.topic_id = ""
        """The topic's id, as text; empty if the brokers keep no ids."""
        self._former: set[str] = set()
        """A broker that lags may still say these."""
        self._asked: Future[TopicDescription] | None = None
        self._ask_after = 0.0

    def begin(self) -> None:
        """Ask for the id, and wait for it. Raises BootError."""
        try:
            found = self._client.list_topics(self._topic, timeout=BROKER_TIMEOUT)
            self._can_ask = found.controller_id in found.brokers
            if not self._can_ask:  # the embedded broker: it can't describe topics
                return
            self.topic_id = _id_of(_ask(self._client, self._topic, BROKER_TIMEOUT).result())
        except KafkaException as problem:
            raise BootError(f"topic {self._topic} can't be described: {problem.args[0].str()}") from problem
        if not self.topic_id:
            log.warning("these brokers keep no topic ids: a topic that is created again is taken for the old one")

    def turn(self) -> bool:
        """Ask now and then, without waiting. Return whether the topic has got another id."""
        if self._asked is not None and self._asked.done():
            found = _answer(self._asked, 0)
            self._asked = None
            if self.topic_id and found not in ("", self.topic_id, *self._former):
                self._former.add(self.topic_id)
                self.topic_id = found
                return True
        elif self._asked is None and self._can_ask and self._clock.monotonic() >= self._ask_after:
            self._ask_after = self._clock.monotonic() + _ASK_SECONDS
            self._asked = _ask(self._client, self._topic, _TIMEOUT)
            self._answers.follow(self._asked)
        return False

    def is_still_the_same(self) -> bool:
        """Ask, and wait some seconds for the answer. Return whether the id is the one that is known."""
        if not self.topic_id:
            return True
        return _answer(_ask(self._client, self._topic, _TIMEOUT), _TIMEOUT) == self.topic_id


class TopicIdentity:
    """Tells a topic that is followed from another one of its name. For one thread."""

    def __init__(self, settings: Settings, topic: str) -> None:
        """Asks for the topic's id, and waits for it. Raises KafkaException."""
        self._topic = topic
        self._client = _client(settings)
        found = self._client.list_topics(topic, timeout=BROKER_TIMEOUT)
        self._asked: Future[TopicDescription] | None = None
        self._ask_after = time.monotonic() + _CHECK_SECONDS
        self.topic_id = ""
        """As text; empty if the brokers keep no ids, or can't describe topics."""
        if found.controller_id in found.brokers:
            self.topic_id = _id_of(_ask(self._client, topic, BROKER_TIMEOUT).result())

    def has_changed(self) -> bool:
        """Ask now and then, without waiting. Return whether the last answer was another id."""
        if not self.topic_id:
            return False
        if self._asked is not None and self._asked.done():
            found = _answer(self._asked, 0)
            self._asked, self._ask_after = None, time.monotonic() + _CHECK_SECONDS
            return found not in ("", self.topic_id)
        if self._asked is None and time.monotonic() >= self._ask_after:
            self._asked = _ask(self._client, self._topic, _TIMEOUT)
        return False


class TopicGuard:
    """Refuses batches whose messages may be of two topics of one name."""

    def __init__(self, settings: Settings) -> None:
        self._topic = settings.topic
        self._settings = settings
        self._client: AdminClient | None = None

    def check(self, topic_id: str) -> None:
        """Find out whether the topic still has this id. An empty one is not known, and not checked.

        Waits for the broker as long as it takes. If it is called after messages were read, it shows that all of them
        are of this topic: an id never comes again. Raises FlushError if the topic has another id, or is gone.
        """
        if not topic_id:
            return
        self._client = self._client or _client(self._settings)
        attempt = 0
        while True:
            try:
                found = _id_of(_ask(self._client, self._topic, _TIMEOUT).result())
            except KafkaException as problem:
                error = problem.args[0]
                if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise FlushError(f"topic {self._topic} is gone") from problem
                log.warning("the id of the topic can't be asked for, trying again", error=error.str())
                attempt += 1
                time.sleep(_BACKOFF.pause(attempt))
                continue
            if found != topic_id:
                raise FlushError(f"topic {self._topic} was deleted and created again since this was read")
            return


def _client(settings: Settings, on_error: Callable[[KafkaError], None] | None = None) -> AdminClient:
    ours = {} if on_error is None else {"error_cb": on_error}
    try:
        return AdminClient(client_config(settings, None, defaults={}, ours=ours), logger=QUIET_LOGGER)
    except KafkaException as problem:
        raise as_config_error(problem) from problem


def _ask(client: AdminClient, topic: str, timeout: float) -> "Future[TopicDescription]":
    [answer] = client.describe_topics(TopicCollection([topic]), request_timeout=timeout).values()
    return answer


def _answer(asked: "Future[TopicDescription]", timeout: float) -> str:
    """Return the id; empty if there is no topic now, or no answer."""
    try:
        return _id_of(asked.result(timeout))
    except (KafkaException, NoAnswerError) as problem:
        log.debug("the id of the topic can't be asked for", error=str(problem))
        return ""


def _id_of(described: TopicDescription) -> str:
    text = str(described.topic_id)
    return "" if text == _NO_ID else text
