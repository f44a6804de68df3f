"""What all groups of settings are."""

from pydantic import BaseModel, ConfigDict


class Fields(BaseModel):
    """A group of settings.

    What validates them is built when it is first needed. A worker gets its settings validated, and so needs none of it:
    that saves each worker some MiB, and time at its start.
    """

    model_config = ConfigDict(defer_build=True)
