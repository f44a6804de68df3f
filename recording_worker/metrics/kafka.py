"""Metrics of what Kafka does, answers and refuses."""

from recording_worker.metrics.family import PARTITION, CounterFamily, GaugeFamily, Label, StatusFamily

_TOPIC = Label("topic", bound="the topics that the settings name")
_ERROR = Label("error", bound="the error codes of Kafka's protocol")


class KafkaMetrics:
    """What Kafka does, answers and refuses."""

    brokers_known = StatusFamily("kafka_brokers_known", "Brokers that the supervisor knows.")
    brokers_connected = StatusFamily(
        "kafka_brokers_connected", "Brokers that the supervisor is connected to. It needs one or two."
    )
    rebalances = CounterFamily("rebalances", "Rebalances of the group that changed or confirmed this host's share.")
    rebalance_seconds = CounterFamily(
        "rebalance_seconds", "Time from the loss of a share, or from joining, to the next share."
    )
    transactions_aborted = CounterFamily(
        "transactions_aborted",
        "Kafka transactions that were aborted and made again, by why. `ILLEGAL_GENERATION` is normal in a rebalance.",
        _ERROR,
    )
    fetch_queue_bytes = GaugeFamily(
        "fetch_queue_bytes",
        "Messages that the workers' clients have fetched and the workers have not taken, as of their last reports. A"
        " client reports every 10 s while its worker reads.",
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
