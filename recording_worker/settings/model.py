"""All settings, parsed and validated once. Only the command line reads the environment.

Each field is a setting; `fields/` has them by theme. It is also a flag (`--max-batch-bytes`), an environment
variable (`RECORDING_WORKER_MAX_BATCH_BYTES`) and a key of the TOML file
(`max_batch_bytes`). A flag beats the environment, which beats the file, which
beats the default. An empty environment variable counts as not set.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ConfigDict, model_validator

from recording_worker.settings.choices import Codec, KeyStoreKind, S3Encryption
from recording_worker.settings.compatibility import with_defaults
from recording_worker.settings.fields.accepted import AcceptedFields
from recording_worker.settings.fields.batches import BatchFields
from recording_worker.settings.fields.clickhouse import ClickHouseFields
from recording_worker.settings.fields.kafka import KafkaFields
from recording_worker.settings.fields.keys import KeyFields
from recording_worker.settings.fields.lookups import LookupFields
from recording_worker.settings.fields.processes import ProcessFields
from recording_worker.settings.fields.serving import ServingFields
from recording_worker.settings.memory import MemoryBudget, default_memory, least_memory, memory_budget
from recording_worker.settings.units import size_text


class Settings(
    ServingFields, ClickHouseFields, ProcessFields, KeyFields, BatchFields, AcceptedFields, LookupFields, KafkaFields
):
    """The worker's settings. Frozen and picklable; made by `load_settings`.

    The fields stand in the order of the bases from the last to the first.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _as_compatible(cls, given: Any) -> Any:
        return with_defaults(given) if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _one_of_each(self) -> "Settings":
        teams = {"teams": self.teams, "teams_postgres": self.teams_postgres, "any_token": self.any_token or None}
        if len(given := [name for name, value in teams.items() if value is not None]) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other")
        if self.block_new_sessions and self.sessions_redis is None:
            raise ValueError("block_new_sessions needs sessions_redis")
        if self.zstd_dictionary is not None and self.codec is not Codec.ZSTD:
            raise ValueError("zstd_dictionary needs codec zstd")
        if self.s3_kms_key is not None and self.s3_encryption is not S3Encryption.KMS:
            raise ValueError("s3_kms_key needs s3_encryption aws:kms")
        if self.key_store is KeyStoreKind.POSTGRES and (self.keys_postgres is None or self.keys_master_file is None):
            raise ValueError("key_store postgres needs keys_postgres and keys_master_file")
        if self.ops_tls_certificate is None and (self.ops_tls_key is not None or self.ops_tls_client_ca is not None):
            raise ValueError("ops_tls_key and ops_tls_client_ca need ops_tls_certificate")
        if self.storage is not None and self.storage_dir is not None:
            raise ValueError("storage and storage_dir exclude each other")
        return self

    @model_validator(mode="after")
    def _fits_into_memory(self) -> "Settings":
        if self.memory is not None:
            self.check_memory()
        return self

    def check_memory(self) -> None:
        """Raise ValueError if a worker's memory, set or not, has no room for what the other settings allow."""
        memory, least = size_text(self.memory_bytes), least_memory(self.max_decompressed_bytes)
        if self.memory_bytes < least:
            raise ValueError(
                f"memory is {memory} for each of {self.workers} workers, but a message of max_decompressed_bytes needs"
                f" {size_text(least)}: set more memory, fewer workers, or a lower max_decompressed_bytes"
            )
        most = self._divided_memory.batch_bytes
        if self.max_batch_bytes is not None and self.max_batch_bytes > most:
            raise ValueError(
                f"max_batch_bytes is {size_text(self.max_batch_bytes)}, but memory {memory} has room for batches of"
                f" {size_text(most)}"
            )

    @property
    def memory_bytes(self) -> int:
        """The memory of each worker process, set or not."""
        return default_memory(self.workers) if self.memory is None else self.memory

    @property
    def budget(self) -> MemoryBudget:
        """What each part of a worker may hold."""
        budget = self._divided_memory
        return budget if self.max_batch_bytes is None else replace(budget, batch_bytes=self.max_batch_bytes)

    @property
    def _divided_memory(self) -> MemoryBudget:
        return memory_budget(self.memory_bytes, keeps_files=(self.storage or "").startswith("s3:"))

    @property
    def unpacks_client_compression(self) -> bool:
        """Whether to unpack what the client packed: as set; if not set, with zstd, which then makes it smaller."""
        if self.unpack_client_compression is not None:
            return self.unpack_client_compression
        return self.codec is Codec.ZSTD

    @property
    def umask(self) -> int:
        """The umask that keeps files within storage_file_mode."""
        readable = int(self.storage_file_mode, 8)
        return 0o777 & ~(readable | (readable & 0o444) >> 2)

    @property
    def consumes_overflow(self) -> bool:
        """Whether this worker reads the overflow topic, and so must not redirect to it."""
        return self.topic == self.overflow_topic

    @property
    def consumes_backfill(self) -> bool:
        """Whether this worker reads the backfill topic, where all messages are old."""
        return self.topic == self.backfill_topic
