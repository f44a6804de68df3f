"""What some settings choose from."""

from enum import StrEnum


class Codec(StrEnum):
    """How a session's block is compressed."""

    ZSTD = "zstd"
    SNAPPY = "snappy"


class FileNames(StrEnum):
    """How batch files are named: by the id of their batch, or as PostHog's consumer names its files."""

    BATCH_ID = "batch_id"
    POSTHOG = "posthog"


class DlqHeaders(StrEnum):
    """How the headers of messages on the DLQ are spelled: as this worker does, or as PostHog's consumer does."""

    DASHES = "dashes"
    POSTHOG = "posthog"


class Delivery(StrEnum):
    """What a crash does to messages that were already read: they are recorded once, or at least once."""

    EXACTLY_ONCE = "exactly_once"
    AT_LEAST_ONCE = "at_least_once"


class StartFrom(StrEnum):
    """Where a group that has committed nothing begins."""

    EARLIEST = "earliest"
    LATEST = "latest"


class OnOffsetGap(StrEnum):
    """What to do if a partition's log was cut past the offset that comes next."""

    STOP = "stop"
    EARLIEST = "earliest"
    LATEST = "latest"


class GroupProtocol(StrEnum):
    """Kafka's consumer group protocol: the classic one, or the one of KIP-848."""

    CLASSIC = "classic"
    CONSUMER = "consumer"


class Compatibility(StrEnum):
    """Whose decisions are made where this worker accepts more."""

    POSTHOG = "posthog"


class S3Addressing(StrEnum):
    """Where the URLs of S3 requests name the bucket: in the host name (virtual), or first in the path."""

    AUTO = "auto"
    PATH = "path"
    VIRTUAL = "virtual"


class S3Encryption(StrEnum):
    """How S3 encrypts a file, by the name that S3 has for it."""

    AES256 = "AES256"
    KMS = "aws:kms"


class KeyStoreKind(StrEnum):
    """Where the keys of encrypted sessions are. With none, sessions are not encrypted."""

    NONE = "none"
    POSTGRES = "postgres"
    DYNAMODB = "dynamodb"


class LogLevel(StrEnum):
    """The least serious messages that are logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
