"""The block that messages become."""

from recording_worker.outcome import Disposition
from tests.decoders import Decode
from tests.inputs import Input, plain_value
from tests.reference.counters import BlockCounters


def block_of(decode: Decode, *events: str) -> BlockCounters:
    """Return the block of one message of these events."""
    batch = decode([Input(plain_value(events))])
    assert batch.rows[0].disposition == Disposition.OK
    return batch.blocks["session-1"]
