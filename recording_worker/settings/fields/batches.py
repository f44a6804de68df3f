"""Settings of session batches and where their files go."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from recording_worker.settings.choices import Codec, FileNames, S3Addressing, S3Encryption
from recording_worker.settings.fields.base import Fields
from recording_worker.settings.types import Bytes, HttpUrl, KeyPrefix, PositiveInt, Seconds, StorageUrl


class BatchFields(Fields):
    """Settings of session batches and where their files go."""

    storage_dir: Path | None = Field(None, description="Local folder for batch files.")
    storage: StorageUrl | None = Field(
        None,
        description="Storage for batch files instead of a local folder: s3://BUCKET[/PREFIX]; or blackhole:,"
        " which writes nothing, for benchmarks.",
    )
    s3_endpoint: HttpUrl | None = Field(None, description="URL of an S3-compatible server; Amazon's if not set.")
    s3_region: str | None = Field(None, min_length=1, description="Region of the bucket; found by boto3 if not set.")
    s3_addressing: S3Addressing = Field(
        S3Addressing.AUTO,
        description="Where URLs name the bucket: in the path, or in the host name (virtual). auto is path with"
        " s3_endpoint, and virtual without.",
    )
    s3_encryption: S3Encryption | None = Field(
        None, description="How S3 encrypts the files: AES256, or aws:kms; as the bucket says if not set."
    )
    s3_kms_key: str | None = Field(
        None, min_length=1, description="Id or ARN of the key for aws:kms; the account's own for S3 if not set."
    )
    s3_connect_timeout: Seconds = Field(5.0, description="Longest wait for a connection to S3.")
    s3_read_timeout: Seconds = Field(30.0, description="Longest wait for an answer of S3.")
    s3_uploads: PositiveInt = Field(4, description="Parts of a file that each worker uploads at a time.")
    s3_retry_for: Seconds = Field(60.0, description="How long the upload of a file is retried after its first failure.")
    storage_prefix: KeyPrefix = Field("blocks", description="First part of every batch file's key.")
    file_names: FileNames = Field(
        FileNames.BATCH_ID,
        description="Names of batch files: with the id of their batch, or as PostHog's reader wants them.",
    )
    storage_file_mode: str = Field(
        "0640",
        pattern="^0?6[046][046]$",
        description="Rights of the files in a local folder, in octal, unless the umask takes away more. Folders can be"
        " entered by those who can read files.",
    )
    codec: Codec = Field(Codec.ZSTD, description="Compression of blocks: zstd or snappy.")
    zstd_level: Annotated[int, Field(ge=-7, le=19)] = Field(1, description="zstd compression level, from -7 to 19.")
    zstd_dictionary: Path | None = Field(
        None,
        description="zstd dictionary to compress blocks with: a file that `dictionary train` made, or `general`, which"
        " comes with the program; none if not set.",
    )
    unpack_client_compression: bool | None = Field(
        None,
        description='Unpack what the client packed ("cv": "2024-10"). If not set: yes with codec zstd, no with snappy.',
    )
    max_batch_bytes: Bytes | None = Field(
        None, description="Flush a batch that holds this many raw bytes; if not set, as many as memory has room for."
    )
    max_batch_age: Seconds = Field(10.0, description="Flush a batch that is this old.")
