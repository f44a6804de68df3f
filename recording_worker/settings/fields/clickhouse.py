"""Settings of ClickHouse, which may know sessions and their blocks."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from recording_worker.settings.fields.base import Fields
from recording_worker.settings.types import HttpUrl, Seconds


class ClickHouseFields(Fields):
    """Settings of ClickHouse, which may know sessions and their blocks."""

    clickhouse: HttpUrl | None = Field(
        None,
        description="ClickHouse with the sessions: http://HOST:8123 or https://HOST:8443. `serve` asks it instead of"
        " listing the storage, and `delete` asks it for the sessions of people.",
    )
    clickhouse_table: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)?$")] = Field(
        "default.session_replay_events", description="PostHog's table of sessions there, with its database."
    )
    clickhouse_user: str = Field("default", description="User of ClickHouse, who only needs to read the table.")
    clickhouse_password_file: Path | None = Field(
        None, description="File with the user's password, which is read again for each question; none if not set."
    )
    clickhouse_ca: Path | None = Field(
        None, description="File of the authorities that sign ClickHouse's certificate; the system's if not set."
    )
    clickhouse_timeout: Seconds = Field(
        5.0, description="Longest wait for a connection with ClickHouse, or for its answer."
    )
