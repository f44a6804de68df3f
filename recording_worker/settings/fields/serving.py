"""Settings of `serve`, which hands blocks out over HTTP."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from recording_worker.settings.fields.base import Fields
from recording_worker.settings.types import Bytes, PositiveInt, Seconds


class ServingFields(Fields):
    """Settings of `serve`, which hands blocks out over HTTP."""

    serve_host: str = Field("127.0.0.1", description="Address of the API of `serve`.")
    serve_port: Annotated[int, Field(ge=0, le=65535)] = Field(
        9610, description="Port of the API of `serve`; 0 takes any free one."
    )
    serve_secret_file: Path | None = Field(
        None,
        description="File with the secrets that tokens for the API are signed with, newest first, separated by commas"
        " or lines; 32 bytes or more each.",
    )
    serve_index: Path | None = Field(
        None, description="File for the index of the storage, which `serve` keeps; in the user's cache if not set."
    )
    serve_follow: bool = Field(
        False,
        description="Let `serve` follow the metadata topic: new files are served at once, and sessions that were"
        " deleted never.",
    )
    serve_list_interval: Seconds = Field(60.0, description="How often `serve` lists the storage to find new files.")
    serve_requests: PositiveInt = Field(
        64, description="Requests that `serve` takes at a time; further ones are told to come back."
    )
    serve_memory_bytes: Bytes = Field(
        256 * 1024 * 1024,
        description="Memory for the blocks that `serve` handles at a time; a larger block is refused.",
    )
    serve_timeout: Seconds = Field(
        25.0, description="Longest time for an answer of `serve`, from the request to its first byte."
    )
