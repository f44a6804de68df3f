"""Measure hosts of many workers: `python -m benchmarks.many_workers [--workers 8 16 32 64] [--partitions-each 16]`.

Each size gets a topic of its own on one broker. Messages come at a low rate. Printed as a table; `--json` as JSON.
The cores are shared by all processes and the broker, so that start-up and rebalance are what an over-subscribed machine
gives. CPU time is what the kernel counts for each process.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from benchmarks.many_workers.host import Host, HostError, connections_to, cpu_seconds, memory_mib
from recording_worker.settings.model import Settings
from tests import builders
from tests.servers.kafka import KafkaServer

_START_SECONDS = 300
_SETTLE_SECONDS = 8
_REBALANCE_SECONDS = 120
_SCRAPES = 9
_MESSAGES_PER_SECOND = 50
_PARTITIONS_AT_ONCE = 128
_OTHER_WORKERS = 2
"""The workers of the host that joins."""

_TITLES = {
    "load_average": "load average of the machine before",
    "ready_s": "all workers ready, s",
    "first_message_s": "start to first message, s",
    "start_cpu_s": "CPU of the start, s",
    "idle_worker_cores": "CPU of an idle worker, % of a core (median)",
    "idle_supervisor_cores": "CPU of the supervisor at rest, % of a core",
    "busy_supervisor_cores": "CPU of the supervisor at 50 messages a second, % of a core",
    "worker_rss_mib": "memory of an idle worker, resident, MiB (median)",
    "worker_pss_mib": "the same, with what processes share divided among them, MiB (median)",
    "worker_private_mib": "memory of an idle worker that it shares with none, MiB (median)",
    "supervisor_rss_mib": "memory of the supervisor, resident, MiB",
    "connections": "connections to the broker",
    "scrape_ms": "a scrape of /metrics, ms (median)",
    "scrape_cpu_ms": "CPU of a scrape, ms",
    "scrape_kb": "size of a scrape, KB",
    "rebalance_s": "rebalance of half of the partitions, s",
    "rebalance_cpu_s": "CPU of the rebalance, s",
    "stop_s": "stop, s",
}


def main() -> None:
    """Measure the sizes that were asked for, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=_positive, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--partitions-each", type=_positive, default=16, help="partitions for each worker")
    parser.add_argument("--seconds", type=float, default=30, help="how long CPU time at rest is measured")
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, broker(Path(folder) / "kafka") as kafka:
        names = Settings()
        outputs = (names.metadata_topic, names.console_logs_topic, names.warnings_topic, names.dlq_topic)
        for topic in (*outputs, names.overflow_topic):
            kafka.create_topic(topic)
        try:
            found = [
                measure(kafka, Path(folder), workers, workers * arguments.partitions_each, arguments.seconds)
                for workers in arguments.workers
            ]
        except HostError as error:
            sys.exit(f"many_workers: {error}")
    if arguments.json:
        print(json.dumps(found, indent=1))
        return
    sizes = [f"{each['workers']} workers, {each['partitions']:,} partitions" for each in found]
    print(f"| | {' | '.join(sizes)} |")
    print(f"|---|{'---|' * len(found)}")
    for name, title in _TITLES.items():
        print(f"| {title} | {' | '.join(f'{each[name]:,.4g}' for each in found)} |")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, not {number}")
    return number


def measure(kafka: KafkaServer, folder: Path, workers: int, partitions: int, seconds: float) -> dict[str, Any]:
    """Run a host of this size through its life. Raises HostError."""
    topic = f"recordings-{workers}"
    create_topic(kafka, topic, partitions)
    found: dict[str, Any] = {"workers": workers, "partitions": partitions, "load_average": os.getloadavg()[0]}
    before = connections_to(kafka.ports["CLIENTS"])
    with Host(f"host-{workers}", folder, kafka.bootstrap_servers, topic, workers) as host:
        with traffic(kafka.bootstrap_servers, topic, partitions):
            found["ready_s"] = host.wait_for(host.is_ready, "become ready", _START_SECONDS)
            found["first_message_s"] = host.wait_for(lambda: host.received() > 0, "read a message", _START_SECONDS)
            pids = [host.supervisor, *host.workers()]
            found["start_cpu_s"] = sum(cpu_seconds(pids).values())
            host.wait_for(lambda: host.held() == partitions, "placed all partitions", _START_SECONDS)
            time.sleep(_SETTLE_SECONDS)
            found["busy_supervisor_cores"] = 100 * used(pids, seconds)[host.supervisor]
            found.update(rebalance(kafka, folder, topic, host, partitions))
        host.wait_for(lambda: host.held() == partitions, "got its partitions back", _REBALANCE_SECONDS)
        time.sleep(_SETTLE_SECONDS)
        at_rest = used(pids, seconds)
        found["idle_supervisor_cores"] = 100 * at_rest.pop(host.supervisor)
        found["idle_worker_cores"] = 100 * statistics.median(at_rest.values())
        memory = [memory_mib(pid) for pid in at_rest]
        found["worker_rss_mib"] = statistics.median(each["Rss"] for each in memory)
        found["worker_pss_mib"] = statistics.median(each["Pss"] for each in memory)
        found["worker_private_mib"] = statistics.median(each["Private"] for each in memory)
        found["supervisor_rss_mib"] = memory_mib(host.supervisor)["Rss"]
        found["connections"] = connections_to(kafka.ports["CLIENTS"]) - before
        found.update(scrape(host, found["idle_supervisor_cores"] / 100))
        found["stop_s"] = host.stop()
    return found


@contextmanager
def broker(folder: Path) -> Iterator[KafkaServer]:
    """Run a broker. It is killed at the end: to close a thousand logs would take long, and nobody reads them again."""
    with KafkaServer(folder, settings={"broker.session.timeout.ms": 120_000}) as kafka:
        try:
            yield kafka
        finally:
            kafka.kill()


def create_topic(kafka: KafkaServer, topic: str, partitions: int) -> None:
    """Create a topic, some partitions at a time: a small broker can't make a thousand at once."""
    kafka.create_topic(topic, min(partitions, _PARTITIONS_AT_ONCE))
    for number in range(2 * _PARTITIONS_AT_ONCE, partitions + _PARTITIONS_AT_ONCE, _PARTITIONS_AT_ONCE):
        kafka.add_partitions(topic, min(partitions, number))


def used(pids: list[int], seconds: float) -> dict[int, float]:
    """Return process id → how many cores it uses over this many seconds."""
    began, before = time.monotonic(), cpu_seconds(pids)
    time.sleep(seconds)
    spent = time.monotonic() - began
    return {pid: (after - before[pid]) / spent for pid, after in cpu_seconds(pids).items()}


def rebalance(kafka: KafkaServer, folder: Path, topic: str, host: Host, partitions: int) -> dict[str, float]:
    """Let another host join, which takes half of the partitions, and leave again."""
    name = f"other-{topic}"
    with Host(name, folder, kafka.bootstrap_servers, topic, _OTHER_WORKERS) as other:
        other.wait_for(
            lambda: sum(w["state"] == "running" for w in other.status().get("workers", [])) == _OTHER_WORKERS,
            "started its workers",
            _START_SECONDS,
        )
        pids = [host.supervisor, other.supervisor, *host.workers(), *other.workers()]
        began, before = time.monotonic(), cpu_seconds(pids)
        other.wait_for(lambda: other.held() == partitions // 2, "got half of the partitions", _REBALANCE_SECONDS)
        found = {
            "rebalance_s": time.monotonic() - began,
            "rebalance_cpu_s": sum(cpu_seconds(pids).values()) - sum(before.values()),
        }
        other.stop()
    return found


def scrape(host: Host, at_rest: float) -> dict[str, float]:
    """Ask for /metrics some times. `at_rest`: the cores that the supervisor uses anyway."""
    times, size, started, before = [], 0, time.monotonic(), cpu_seconds([host.supervisor])
    for _ in range(_SCRAPES):
        began = time.monotonic()
        size = len(host.page("metrics"))
        times.append((time.monotonic() - began) * 1000)
    seconds = cpu_seconds([host.supervisor])[host.supervisor] - before[host.supervisor]
    seconds -= at_rest * (time.monotonic() - started)
    return {
        "scrape_ms": statistics.median(times),
        "scrape_cpu_ms": seconds * 1000 / _SCRAPES,
        "scrape_kb": size / 1000,
    }


@contextmanager
def traffic(bootstrap_servers: str, topic: str, partitions: int) -> Iterator[None]:
    """Send messages at a low rate while the body runs, each to the next partition."""
    producer = Producer({"bootstrap.servers": bootstrap_servers, "log_level": 0})
    done = threading.Event()

    def send() -> None:
        number = 0
        while not done.wait(1 / _MESSAGES_PER_SECOND):
            session, now = f"session-{number % 100}", int(time.time() * 1000)
            producer.produce(
                topic,
                partition=number % partitions,
                key=session.encode(),
                value=builders.value([builders.event(now, type=5, number=number)], session_id=session),
                headers=[*builders.headers(session_id=session)],
                timestamp=now,
            )
            producer.poll(0)
            number += 1

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield
    finally:
        done.set()
        sender.join()
        producer.flush(30)


if __name__ == "__main__":
    main()
