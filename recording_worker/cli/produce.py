"""`recording-worker produce`: message files to Kafka."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from recording_worker.cli.options import MESSAGE_FILES_HELP, message_files, settings_from, settings_options
from recording_worker.errors import WorkerError

if TYPE_CHECKING:
    from recording_worker.kafka.feeder import Feeder
    from recording_worker.messages import Message


@click.command(
    epilog=f"""\b
Examples:
  recording-worker produce dump.jsonl.zst --topic recordings --bootstrap-servers kafka:9092
  recording-worker produce dump.jsonl.zst --rate 100

{MESSAGE_FILES_HELP}"""
)
@message_files
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Send at most this many messages per second.",
)
@click.option(
    "--follow-group",
    metavar="GROUP",
    help="Keep what this consumer group has not committed below 4 MiB in each partition. Messages over 2 MiB are"
    " refused. For the embedded broker, which keeps 5 MiB of a partition.",
)
@settings_options(("bootstrap_servers", "topic"), topic="Topic to send to.")
def produce(
    files: tuple[Path, ...], rate: float | None, follow_group: str | None, config: Path | None, **flags: Any
) -> None:
    """Send FILES of messages to a Kafka topic. Key, value, headers and timestamp come from the file.

    The key decides the partition, as with Java clients. Ends once the brokers have acknowledged all
    messages; the exit code is 1 if they refused one.
    """
    settings = settings_from(config, flags)
    from recording_worker.cli.output import files_progress_bar, print_figures
    from recording_worker.cli.signals import signals_end
    from recording_worker.formats.message_file import read_messages
    from recording_worker.kafka.clients import check_broker
    from recording_worker.kafka.consumer import consumer_config
    from recording_worker.kafka.feeder import Feeder, GroupFollower

    check_broker(consumer_config(settings), settings.topic)
    feeder = Feeder(settings, rate=rate, follow=GroupFollower(settings, follow_group) if follow_group else None)
    started = time.monotonic()
    size = 0
    with signals_end(), files_progress_bar("sending", files) as advance:
        try:
            for path in files:
                for message in read_messages(path, 0, lambda size: advance(size, 0)):
                    _send(feeder, message, path)
                    size += len(message.value or b"")
                    advance(0, 1)
        except WorkerError:
            feeder.finish()  # sends what is before the bad line
            raise
        feeder.finish()
    seconds = time.monotonic() - started
    print_figures(
        f"Sent to {settings.topic}",
        {
            "messages": feeder.acknowledged,
            "refused": dict(feeder.failures),
            "value_bytes": size,
            "seconds": round(seconds, 3),
            "messages_per_second": round(feeder.sent / seconds),
        },
    )
    if failed := feeder.failures.total():
        reason = feeder.failures.most_common(1)[0][0]
        raise WorkerError(f"Kafka refused {failed} of {feeder.sent} messages, most often because: {reason}")


def _send(feeder: "Feeder", message: "Message", path: Path) -> None:
    try:
        feeder.send(message)
    except WorkerError as error:
        raise WorkerError(f"{path}:{message.offset + 1}: {error}") from None
