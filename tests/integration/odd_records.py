"""Records that confluent-kafka does not let one send, and that others may: sent by librdkafka itself."""

import ctypes

from recording_worker.kafka.embedded import _librdkafka

_PRODUCER = 0
_END, _TOPIC, _PARTITION, _VALUE, _HEADER = 0, 1, 3, 4, 9
"""Of rd_kafka_vtype_t: what follows in rd_kafka_producev's arguments."""
_ERROR_TEXT_BYTES = 512


def send_with_header(bootstrap_servers: str, topic: str, partition: int, name: bytes, value: bytes) -> None:
    """One record whose only header has this name, which may be no UTF-8; waits for its acknowledgement."""
    library = _librdkafka()
    error = ctypes.create_string_buffer(_ERROR_TEXT_BYTES)
    config = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(config, b"bootstrap.servers", bootstrap_servers.encode(), error, _ERROR_TEXT_BYTES)
    client = ctypes.c_void_p(library.rd_kafka_new(_PRODUCER, config, error, _ERROR_TEXT_BYTES))
    assert client, error.value
    arguments = [
        *(ctypes.c_int(_TOPIC), ctypes.c_char_p(topic.encode())),
        *(ctypes.c_int(_PARTITION), ctypes.c_int32(partition)),
        *(ctypes.c_int(_VALUE), ctypes.c_char_p(value), ctypes.c_size_t(len(value))),
        *(ctypes.c_int(_HEADER), ctypes.c_char_p(name), ctypes.c_char_p(b"x"), ctypes.c_ssize_t(1)),
        ctypes.c_int(_END),
    ]
    assert library.rd_kafka_producev(client, *arguments) == 0
    assert library.rd_kafka_flush(client, ctypes.c_int(10_000)) == 0
    library.rd_kafka_destroy(client)
