"""Metrics of what Kafka does, answers and refuses."""

from recording_worker.metrics.family import PARTITION, CounterFamily, Label

_TOPIC = Label("topic", bound="the topics that the settings name")
_ERROR = Label("error", bound="the error codes of Kafka's protocol")


class KafkaMetrics:
    """What Kafka does, answers and refuses."""

    transactions_aborted = CounterFamily(
        "transactions_aborted",
        "Kafka transactions that were aborted and made again, by why. `ILLEGAL_GENERATION` is normal in a rebalance.",
        _ERROR,
    )
    records_too_large = CounterFamily(
        "records_too_large", "Records left out because they are larger than their topic allows.", _TOPIC
    )
    records_redated = CounterFamily(
        "records_redated",
        "Records sent with the present time, because their topic refuses the time of their message.",
        _TOPIC,
    )
    records_refused = CounterFamily(
        "records_refused",
        "Records left out because their topic refuses them, except for size, by why.",
        _TOPIC,
        _ERROR,
    )
    offsets_skipped = CounterFamily(
        "offsets_skipped",
        "Offsets that were gone from the log when the worker wanted to read them (`on_offset_gap`).",
        PARTITION,
    )
