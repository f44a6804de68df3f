"""Settings of `serve`, which hands blocks out over HTTP."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from recording_worker.settings.fields.base import Fields
from recording_worker.settings.types import Bytes, HttpUrl, PositiveInt, Seconds


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
    serve_clickhouse: HttpUrl | None = Field(
        None,
        description="Let `serve` ask ClickHouse for sessions and their blocks, instead of listing the storage:"
        " http://HOST:8123 or https://HOST:8443.",
    )
    serve_clickhouse_table: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$")] = Field(
        "default.session_replay_events", description="PostHog's table of sessions there, with its database."
    )
    serve_clickhouse_user: str = Field("default", description="User of ClickHouse, who only needs to read the table.")
    serve_clickhouse_password_file: Path | None = Field(
        None, description="File with the user's password, which is read again for each question; none if not set."
    )
    serve_clickhouse_ca: Path | None = Field(
        None, description="File of the authorities that sign ClickHouse's certificate; the system's if not set."
    )
    serve_clickhouse_timeout: Seconds = Field(
        5.0, description="Longest wait for a connection with ClickHouse, or for its answer."
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
