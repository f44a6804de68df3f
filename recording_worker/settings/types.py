"""Types of settings: what a value must be, and how it is written."""

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr

from recording_worker.settings.cores import parse_cores
from recording_worker.settings.units import DURATION, SIZE

_S3_URL = re.compile(r"s3://[A-Za-z0-9][A-Za-z0-9._-]+[A-Za-z0-9](/[^?#]*)?")


def _dotted_keys(value: object) -> dict[str, str | int | float | bool]:
    """Take a TOML table of librdkafka properties, its keys quoted ("security.protocol") or not (security.protocol)."""
    if not isinstance(value, dict):
        raise ValueError("must be a table of librdkafka properties")
    flat: dict[str, str | int | float | bool] = {}
    for key, entry in value.items():
        if isinstance(entry, dict):
            flat.update(_dotted_keys({f"{key}.{rest}": deeper for rest, deeper in entry.items()}))
        elif isinstance(entry, str | int | float):
            flat[key] = entry
        else:
            raise ValueError(f"{key} must be a text, a number, true or false")
    return flat


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _refuse_ambiguous(is_ambiguous: bool) -> None:
    """Refuse a URL whose password the client would partly take for the host, and show in its errors."""
    if is_ambiguous:
        raise ValueError("is ambiguous: in a password, write %40 for @, %2F for /, %3F for ?, %23 for #")


def _storage_url(value: str) -> str:
    if value == "blackhole:" or _S3_URL.fullmatch(value):
        return value
    raise ValueError("must be s3://BUCKET, s3://BUCKET/PREFIX or blackhole: (use storage_dir for a local folder)")


def _postgres_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if not url.startswith(("postgresql://", "postgres://")):
        raise ValueError("must begin with postgresql://")
    servers, _, database = url.partition("://")[2].partition("/")
    _refuse_ambiguous(servers.count("@") > 1 or "@" in database.partition("?")[0])
    return value


def _redis_url(value: SecretStr) -> SecretStr:
    url = value.get_secret_value()
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("must begin with redis://, rediss:// or unix://")
    if not url.startswith("unix://"):
        given = url.partition("://")[2]
        _refuse_ambiguous("@" in given.removeprefix(re.split("[/?#]", given, maxsplit=1)[0]))
    return value


def _without_user(value: str) -> str:
    """Refuse user and password: they are no part of this address, and would be shown in errors."""
    if "@" in value:
        raise ValueError("must not hold a user or a password")
    return value


def _below_the_storage(value: str) -> str:
    if ".." in value.split("/"):
        raise ValueError("must not leave the storage with ..")
    return value


def _cores(value: str) -> str:
    parse_cores(value)
    return value


LOWERED = BeforeValidator(_lower)

PositiveInt = Annotated[int, Field(gt=0)]
PositiveNumber = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Seconds = Annotated[float, DURATION, Field(gt=0, allow_inf_nan=False)]
Bytes = Annotated[int, SIZE, Field(gt=0)]
Properties = Annotated[dict[str, str | int | float | bool], BeforeValidator(_dotted_keys)]
HostPorts = Annotated[str, AfterValidator(_without_user)]
StorageUrl = Annotated[str, AfterValidator(_storage_url)]
PostgresUrl = Annotated[SecretStr, AfterValidator(_postgres_url)]
RedisUrl = Annotated[SecretStr, AfterValidator(_redis_url)]
HttpUrl = Annotated[str, Field(pattern=r"^https?://[^/?#]+(/[^?#]*)?$"), AfterValidator(_without_user)]
Cores = Annotated[str, AfterValidator(_cores)]
KeyPrefix = Annotated[str, AfterValidator(_below_the_storage)]
