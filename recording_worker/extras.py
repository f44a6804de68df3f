"""Optional libraries: which extra of the package brings which, and what to say if one is missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from recording_worker.errors import ConfigError

EXTRAS = {
    "boto3": ("S3", "s3"),
    "botocore": ("S3", "s3"),
    "confluent_kafka": ("Kafka", "kafka"),
    "matplotlib": ("A report with plots", "bench"),
    "nacl": ("encryption", "keys"),
    "jwt": ("serving blocks", "serve"),
    "psycopg": ("PostgreSQL", "postgres"),
    "opentelemetry": ("Tracing", "tracing"),
    "redis": ("Redis", "redis"),
    "starlette": ("serving blocks", "serve"),
    "urllib3": ("ClickHouse", "clickhouse"),
    "uvicorn": ("serving blocks", "serve"),
}
"""Library → what it is for, and the extra that installs it. All else comes with the package itself."""


@contextmanager
def missing_extras_named() -> Iterator[None]:
    """Raise ConfigError, which names the extra, if an import in the body finds such a library missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRAS:
            raise
        purpose, extra = EXTRAS[library]
        raise ConfigError(
            f"{purpose} needs {library}, which is not installed: pip install 'recording-worker[{extra}]'"
        ) from error
