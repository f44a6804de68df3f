"""Write the tables of docs/run/settings.md from the settings themselves: `python -m tools.settings_tables`.

The page has a region for each theme, between two comments, and nobody types between them.
"""

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from recording_worker.settings.choices import Compatibility
from recording_worker.settings.compatibility import with_defaults
from recording_worker.settings.fields.accepted import AcceptedFields
from recording_worker.settings.fields.batches import BatchFields
from recording_worker.settings.fields.clickhouse import ClickHouseFields
from recording_worker.settings.fields.kafka import KafkaFields
from recording_worker.settings.fields.keys import KeyFields
from recording_worker.settings.fields.lookups import LookupFields
from recording_worker.settings.fields.processes import ProcessFields
from recording_worker.settings.fields.serving import ServingFields
from recording_worker.settings.model import Settings
from recording_worker.settings.units import DURATION, SIZE, unit_of, value_text

PAGE = Path(__file__).parents[1] / "docs" / "run" / "settings.md"
COMMAND = "python -m tools.settings_tables"

THEMES: dict[str, type[BaseModel]] = {
    "kafka": KafkaFields,
    "lookups": LookupFields,
    "accepted": AcceptedFields,
    "batches": BatchFields,
    "keys": KeyFields,
    "processes": ProcessFields,
    "clickhouse": ClickHouseFields,
    "serving": ServingFields,
}
SEE = {
    "group_instance_id": "[static members](../operate/deploying.md#static-members)",
    "metadata_topic": "[block metadata](../data/metadata.md#block-metadata)",
    "warnings_topic": "[warnings](../data/metadata.md#ingestion-warnings)",
    "dlq_topic": "[the DLQ](../operate/dlq.md)",
    "dlq_headers": "[dispositions](../data/messages.md#dispositions)",
    "overflow_topic": "[the overflow topic](teams.md#the-overflow-topic)",
    "backfill_topic": "[lag mode](../operate/overload.md#lag-mode)",
    "dlq_audit_topic": "[the audit topic](../operate/dlq.md#the-audit-topic)",
    "progress_topic": "[progress](../data/metadata.md#progress)",
    "console_logs_bootstrap_servers": "[other clusters](#other-clusters)",
    "warnings_bootstrap_servers": "[other clusters](#other-clusters)",
    "kafka_outputs": "[other clusters](#other-clusters)",
    "teams": "[teams from a file](teams.md#from-a-file)",
    "teams_postgres": "[teams from PostgreSQL](teams.md#from-postgresql)",
    "any_token": "[any token](teams.md#any-token)",
    "restrictions": "[restrictions](teams.md#restrictions)",
    "restrictions_redis": "[restrictions from Redis](teams.md#from-redis)",
    "sessions_redis": "[retention periods](teams.md#a-sessions-retention-period)",
    "sessions_redis_prefix": "[with PostHog's consumer](teams.md#together-with-posthogs-consumer)",
    "mark_sessions_seen": "[with PostHog's consumer](teams.md#together-with-posthogs-consumer)",
    "posthog_retention_keys": "[retention periods](teams.md#a-sessions-retention-period)",
    "block_new_sessions": "[new sessions](teams.md#new-sessions)",
    "compatibility": "[compatibility](#compatibility)",
    "correct_clock_skew": "[wrong clocks](../data/messages.md#wrong-clocks)",
    "far_event_drops_message": "[dispositions](../data/messages.md#dispositions)",
    "hot_session_bytes_per_minute": "[hot sessions](../operate/overload.md#hot-sessions)",
    "lag_shed_after": "[lag mode](../operate/overload.md#lag-mode)",
    "dlq_halt_consecutive": "[too many messages for the DLQ](../operate/failures.md#too-many-messages-for-the-dlq)",
    "storage": "[storage](storage.md)",
    "storage_file_mode": "[a local folder](storage.md#a-local-folder)",
    "s3_endpoint": "[settings of S3](storage.md#settings-of-s3)",
    "s3_encryption": "[encryption](storage.md#encryption)",
    "file_names": "[names](../data/batch-files.md#names)",
    "zstd_dictionary": "[dictionaries](storage.md#dictionaries)",
    "unpack_client_compression": "[what the client compressed](../data/messages.md#what-the-client-compressed)",
    "key_store": "[encryption](../operate/encryption.md)",
    "cpus": "[pinning and NUMA](../operate/tuning.md#pinning-and-numa)",
    "memory": "[memory](../operate/deploying.md#memory)",
    "drain_deadline": "[signals](../operate/deploying.md#signals)",
    "progress_deadline": "[when a process dies or hangs](../operate/deploying.md#when-a-process-dies-or-hangs)",
    "ops_host": "[the ops server](../operate/deploying.md#the-ops-server)",
    "ops_host_names": "[the ops server](../operate/deploying.md#the-ops-server)",
    "ops_token_file": "[the ops server](../operate/deploying.md#the-ops-server)",
}
"""Setting → the part of the docs that explains it."""


def written(page: str) -> str:
    """Return the text of the page with all its regions written from the settings. Raises KeyError for unknown ones."""

    def region(found: re.Match[str]) -> str:
        table = compatibility_table() if found[1] == "compatibility" else theme_table(THEMES[found[1]])
        return f"<!-- {found[1]}: {COMMAND} -->\n\n{table}\n\n<!-- /{found[1]} -->"

    return re.sub(rf"<!-- (\w+): {re.escape(COMMAND)} -->.*?<!-- /\1 -->", region, page, flags=re.DOTALL)


def theme_table(fields: type[BaseModel]) -> str:
    """Return the table of a theme's settings."""
    rows = [
        (f"`{name}`", _default(field), _takes(name, field), _meaning(name, field))
        for name, field in fields.model_fields.items()
    ]
    return _table(("setting", "default", "takes", "meaning"), rows)


def compatibility_table() -> str:
    """Return the table of what `compatibility = posthog` changes."""
    defaults = with_defaults({"compatibility": Compatibility.POSTHOG})
    rows = [
        (f"`{name}`", f"`{_text(Settings.model_fields[name], value)}`")
        for name, value in defaults.items()
        if name != "compatibility"
    ]
    return _table(("setting", "default under `posthog`"), rows)


def _default(field: FieldInfo) -> str:
    is_none = field.default_factory is not None or field.default is None or field.default == {}
    return "" if is_none else f"`{_text(field, field.default)}`"


def _text(field: FieldInfo, value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else value_text(field, value)


def _takes(name: str, field: FieldInfo) -> str:
    """Return what a value of the setting is."""
    kind = _plain_type(field.annotation)
    if unit := unit_of(field):
        return {SIZE: "size", DURATION: "duration"}[unit]
    if kind is bool:
        return "`true` or `false`"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return ", ".join(f"`{member.value}`" for member in kind)
    if kind in (int, float):
        return _range(field) or "number"
    if kind is Path:
        return "folder" if name.endswith("_dir") else "file"
    return {SecretStr: "URL", str: "text"}.get(kind, "table")


def _range(field: FieldInfo) -> str:
    """Return the limits of a number in words, and nothing if it has none but being positive."""
    marks = [
        *field.metadata,
        *(mark for part in get_args(field.annotation) for mark in getattr(part, "__metadata__", ())),
    ]
    flat = [inner for mark in marks for inner in getattr(mark, "metadata", [mark])]
    limits = {key: getattr(mark, key) for mark in flat for key in ("gt", "ge", "lt", "le") if hasattr(mark, key)}
    match limits:
        case {"ge": low, "le": high}:
            return f"{low:,} to {high:,}"
        case {"gt": low, "le": high}:
            return f"over {low:g}, up to {high:g}"
        case {"gt": low, "lt": high}:
            return f"between {low:g} and {high:g}"
        case {"ge": low}:
            return f"{low} or more"
    return ""


def _plain_type(annotation: Any) -> Any:
    """Return the type of a value that is set: without None, and without marks."""
    parts = [part for part in get_args(annotation) if part is not type(None)]
    if isinstance(annotation, type) and not parts:
        return annotation
    origin = getattr(annotation, "__origin__", None)
    return dict if origin is dict else _plain_type(parts[0])


def _meaning(name: str, field: FieldInfo) -> str:
    """Return the description, with settings marked as such, and the link that explains more."""
    other = "|".join(sorted((name for name in Settings.model_fields if "_" in name), key=len, reverse=True))
    text = re.sub(rf"\b({other})\b", r"`\1`", field.description or "").replace("[[", "`[[").replace("]]", "]]`")
    return f"{text} See {SEE[name]}." if name in SEE else text


def _table(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
