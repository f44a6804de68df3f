"""The log of a service that has trouble: JSON to the end, and what happened is named."""

import json
import os
import signal
from typing import Any

from confluent_kafka import Producer

from recording_worker.kafka.embedded import EmbeddedBroker
from tests.integration.conftest import StartService
from tests.integration.service import TOPIC, Service, Traffic
from tests.waiting import wait_for


def dlq_lines(service: Service) -> list[dict[str, Any]]:
    return [line for line in service.log() if line["event"] == "messages go to the DLQ"]


def test_a_service_with_trouble_logs_nothing_but_json_and_names_it(
    start: StartService, broker: EmbeddedBroker, traffic: Traffic
) -> None:
    service = start(ops_port=0)
    service.wait_until_ready()
    [begin] = service.logged("service starts")
    assert (begin["process"], begin["topic"], begin["workers"]) == ("supervisor", TOPIC, 2)
    traffic.send(40)
    producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "log_level": 0})
    for number in range(12):
        producer.produce(TOPIC, b"no message \x1b[2J\n", partition=0, headers=[("token", b"token-1")])
        producer.flush(10)
        assert number < 12
    traffic.wait_until_committed(service)
    # lines that are alike are counted for a while, and what a worker has counted would end with it
    wait_for(lambda: sum(line["messages"] for line in dlq_lines(service)) == 12, "all to be named")
    victim = service.worker_pids()[0]
    os.kill(victim, signal.SIGSEGV)
    wait_for(lambda: service.logged("a worker wrote to stderr"), "the stacks of the crash")
    [stacks] = service.logged("a worker wrote to stderr")
    assert stacks["worker"] == 0
    assert "Segmentation fault" in stacks["text"][0]
    service.wait_until_ready()
    assert service.stop() == 0
    lines = [json.loads(line) for line in service.log_file.read_text().splitlines()]
    named = dlq_lines(service)
    assert sum(line["messages"] for line in named) == 12
    assert {(line["process"], line["reason"], line["partition"]) for line in named} == {
        ("worker", named[0]["reason"], 0)
    }
    summaries = [line for line in lines if line["event"] == "summary"]
    assert (sum(line["messages"] for line in summaries), sum(line["dlq"] for line in summaries)) == (52, 12)
    assert "no message" not in service.log_file.read_text()
