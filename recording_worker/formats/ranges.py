"""The ranges of the numbers that formats carry. What is read from outside is held to them before anybody uses it."""

from typing import Annotated

from pydantic import Field

from recording_worker.formats.timestamps import LATEST_MS

Count = Annotated[int, Field(ge=0, lt=2**63)]
"""Of bytes, events or messages; also an offset in a file."""
TeamId = Annotated[int, Field(ge=0, lt=2**63)]
Partition = Annotated[int, Field(ge=0, lt=2**31)]
Offset = Annotated[int, Field(ge=0, lt=2**63)]
KafkaTimeMs = Annotated[int, Field(ge=-(2**63), lt=2**63)]
"""A Kafka timestamp; brokers take any, and -1 says that there is no time."""
EventTimeMs = Annotated[float, Field(gt=0, le=LATEST_MS, allow_inf_nan=False)]
"""An event's timestamp, milliseconds since 1970, as the decoder accepts it."""
