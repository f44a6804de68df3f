"""The source of messages: a topic by its name and the id that Kafka gave it.

A topic that was deleted and created again has the same name and the same offsets as the old one. Only the id differs.
"""


def source_topic(topic: str, topic_id: str) -> str:
    """Return `{topic}@{id}`, or only the topic if its id is not known, as in what earlier versions wrote.

    No name of a topic has an @ in it.
    """
    return f"{topic}@{topic_id}" if topic_id else topic


def topic_name(source: str) -> str:
    """Return the topic's name in what `source_topic` returned."""
    return source.partition("@")[0]
