"""`make kafka`: a broker with the worker's topics, until Ctrl-C."""

import signal
import tempfile
from pathlib import Path

import click

from recording_worker.settings.model import Settings
from tests.servers.child import ServerError
from tests.servers.kafka import KafkaServer

PARTITIONS = 8


@click.command()
@click.option("--port", default=9092, show_default=True, help="Port that clients connect to.")
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Keep its data here, for next time.")
def main(port: int, folder: Path | None) -> None:
    """Run Apache Kafka with the worker's topics until Ctrl-C."""
    with tempfile.TemporaryDirectory(prefix="kafka-") as temporary:
        server = KafkaServer((folder or Path(temporary)).absolute(), port=port)
        try:
            server.start()
            _create_topics(server)
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
            _say(server.bootstrap_servers)
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
        except ServerError as problem:
            raise click.ClickException(str(problem)) from problem
        finally:
            server.stop()


def _create_topics(server: KafkaServer) -> None:
    names = Settings()
    outputs = (names.metadata_topic, names.console_logs_topic, names.warnings_topic, names.dlq_topic)
    there = server.admin().list_topics(timeout=10).topics
    for topic in (names.topic, *outputs, names.overflow_topic, names.backfill_topic):
        if topic not in there:
            server.create_topic(topic, PARTITIONS if topic == names.topic else 1)


def _say(servers: str) -> None:
    print(f"Kafka listens on {servers}; Ctrl-C ends it. In other terminals:")
    print(f"  .venv/bin/recording-worker produce tests/data/sample.jsonl.zst --bootstrap-servers {servers}")
    # the sample's recordings are not of this week
    taking = "--any-token --max-timestamp-diff-days 99999 --storage-dir out"
    print(f"  .venv/bin/recording-worker run {taking} --bootstrap-servers {servers}", flush=True)


if __name__ == "__main__":
    main()
