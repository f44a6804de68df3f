"""A `Consumer` that is in the group and fetches nothing: the supervisor's."""

from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, TopicPartition

from tests.simulation.broker import GENERATION, MAGIC
from tests.simulation.clients.client import Client, metadata
from tests.simulation.group import SESSION_SECONDS, Member
from tests.simulation.network import Busy
from tests.simulation.scheduler import Signal


class GroupConsumer(Client):
    """A `Consumer` in the group. librdkafka's threads hear from the group at once; the application when it polls."""

    def __init__(self, *client: Any, config: dict[str, Any], in_order: bool) -> None:
        """`in_order`: whether its commits reach the broker in the order in which they are sent, as on one connection.

        librdkafka repeats a commit whose connection is lost, and that may come after a later commit. Delivery
        exactly once must bear this.
        """
        super().__init__(*client)
        self._in_order = in_order
        self._commits_sent = 0
        self._commits_arrived = 0
        self._on_commit = config["on_commit"]
        self._instance: str | None = config.get("group.instance.id")
        self._callbacks: dict[str, Callable[..., None]] = {}
        self._member = ""
        self._generation = -1
        self._assigned: set[int] = set()
        self._events: list[tuple[str, Any]] = []
        """What the next polls call."""
        self._heard = Signal(self.scheduler)
        self._in_callback = False
        self._closed = False

    def subscribe(self, _topics: list[str], **callbacks: Callable[..., None]) -> None:
        self._callbacks = callbacks
        self._join()

    def poll(self, timeout: float) -> None:
        if not self._events and timeout:
            self._heard.wait(timeout)
        while self._events:
            self._serve(*self._events.pop(0))

    def consumer_group_metadata(self) -> bytes:
        return MAGIC + GENERATION.pack(self._generation) + self._member.encode()

    def incremental_assign(self, partitions: list[TopicPartition]) -> None:
        self._assigned |= {at.partition for at in partitions}

    def pause(self, _partitions: list[TopicPartition]) -> None: ...

    def assignment(self) -> list[TopicPartition]:
        return [TopicPartition("in", number) for number in sorted(self._assigned)]

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> list[TopicPartition] | None:
        answer = self.link.request(self._commit_of(offsets))
        if not asynchronous:
            answer.result()
            return offsets
        answer.add_done_callback(lambda done: self._hear("committed", (done.exception(), offsets)))
        return None

    def committed(self, asked: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        numbers = [at.partition for at in asked]
        found = self.ask("committed", lambda: self.broker.fetch_offsets(numbers), timeout)
        answers = []
        for number in numbers:
            offset, text = found.get(number, (-1001, ""))
            answers.append(TopicPartition("in", number, offset, text))
        return answers

    def offsets_for_times(self, asked: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        def look() -> list[TopicPartition]:
            topic = self.broker.topic_now()
            return [
                TopicPartition(
                    "in", at.partition, 0 if at.offset == OFFSET_BEGINNING else len(topic.logs[at.partition])
                )
                for at in asked
            ]

        answers: list[TopicPartition] = self.ask("offsets", look, timeout)
        return answers

    def list_topics(self, topic: str, timeout: float) -> Any:
        return self.ask("metadata", lambda: metadata(self.broker, topic), timeout)

    def close(self) -> None:
        self._closed = True
        while self._events:
            self._serve(*self._events.pop(0))
        if self._assigned:
            self._serve("revoke", set(self._assigned))
        member, self._member, self._generation = self._member, "", -1
        if member and self._instance is None:  # a static member may be back soon
            self.ask("leave", lambda: self.broker.group.leave(member))

    def _commit_of(self, offsets: list[TopicPartition]) -> Callable[[], None]:
        member, generation = self._member, self._generation
        positions = {at.partition: (at.offset, at.metadata or "") for at in offsets}
        before = self._commits_sent
        self._commits_sent += 1

        def arrive() -> None:
            if self._in_order and self._commits_arrived < before:
                raise Busy
            self._commits_arrived += 1
            self.broker.commit(member, generation, positions)

        return arrive

    def _join(self) -> None:
        self.link.request(self._arrive_at_group)

    def _arrive_at_group(self) -> None:
        if self._closed:
            return
        member = Member(
            self.broker.group.new_member_id(),
            self._instance,
            self.link,
            learn=lambda generation, come, gone: self._learn(member, generation, come, gone),
            is_busy=lambda: self._in_callback or bool(self._events),
        )
        self._member = member.id
        self.broker.group.join(member)
        self._watch_session(member.id)

    def _watch_session(self, member: str) -> None:
        """Have the group miss this member once it is silent for as long as a session."""
        group, scheduler = self.broker.group, self.scheduler
        silent_since: list[float | None] = [None]

        def look() -> None:
            process = self.link.process
            given_up = member != self._member
            if given_up and not group.is_member(member):
                return
            silent = given_up or bool(process.frozen) or not process.alive or not self.link.is_up
            if not silent:
                silent_since[0] = None
                if not group.is_member(member):
                    self._lost()
                    return
            elif silent_since[0] is None:
                silent_since[0] = scheduler.now
            elif scheduler.now - silent_since[0] >= SESSION_SECONDS:
                group.leave(member)
                if not process.alive:
                    return
            scheduler.call(self.rng.uniform(0.4, 0.6), look)

        scheduler.call(0.5, look)

    def _learn(self, member: Member, generation: int, come: set[int], gone: set[int]) -> None:
        """Hear of a new generation, a moment later."""

        def hear() -> None:
            member.hears = False
            if member.id != self._member or self._closed:
                return
            assert generation >= self._generation
            self._generation = generation
            if gone:
                self._hear("revoke", gone)
            if come:
                self._hear("assign", come)

        self.scheduler.call(self.rng.uniform(0.001, 0.04), hear)

    def _lost(self) -> None:
        """The group has gone on without this member."""
        self._member, self._generation = "", -1
        self._events = [event for event in self._events if event[0] == "committed"]
        self._hear("lost", None)

    def _hear(self, kind: str, about: Any) -> None:
        self._events.append((kind, about))
        self._heard.notify()

    def _serve(self, kind: str, about: Any) -> None:
        self._in_callback = True
        try:
            self._call(kind, about)
        finally:
            self._in_callback = False

    def _call(self, kind: str, about: Any) -> None:
        member = self._member
        match kind:
            case "committed":
                problem, offsets = about
                self._on_commit(None if problem is None else problem.args[0], offsets)
            case "assign":
                self._callbacks["on_assign"](self, self._named(about))
            case "revoke":
                self._callbacks["on_revoke"](self, self._named(about))
                self._assigned -= about
                if not (self._closed and self._instance):
                    self.link.request(lambda: self.broker.group.released(member, about))
            case "lost":
                if self._assigned:
                    self._callbacks["on_lost"](self, self._named(self._assigned))
                self._assigned = set()
                if not self._closed:
                    self._join()

    def _named(self, numbers: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition("in", number) for number in sorted(numbers)]
