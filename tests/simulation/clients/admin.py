"""An `AdminClient`."""

from collections.abc import Iterable
from functools import partial
from types import SimpleNamespace
from typing import Any

from confluent_kafka import TopicPartition

from tests.simulation.clients.client import Client, metadata, timed_out
from tests.simulation.scheduler import Future


class Admin(Client):
    """An `AdminClient`."""

    def list_topics(self, topic: str, timeout: float) -> Any:
        return self.ask("metadata", lambda: metadata(self.broker, topic), timeout)

    def describe_topics(self, _topics: object, request_timeout: float) -> dict[str, "Future[Any]"]:
        answer = self.link.request(lambda: SimpleNamespace(topic_id=self.broker.topic_now().id))
        self.scheduler.call(request_timeout, lambda: answer.set_exception(timed_out("describe")))
        return {"in": answer}

    def list_offsets(self, wanted: Iterable[TopicPartition], request_timeout: float) -> dict[Any, "Future[Any]"]:
        answers = {}
        for at in wanted:
            answer = self.link.request(partial(self._end_of, at.partition))
            self.scheduler.call(request_timeout, partial(answer.set_exception, timed_out("list offsets")))
            answers[at] = answer
        return answers

    def _end_of(self, partition: int) -> Any:
        return SimpleNamespace(offset=len(self.broker.topic_now().logs[partition]))
