"""Which texts in the settings are secrets."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from pydantic import SecretStr

from recording_worker.errors import ConfigError
from recording_worker.redaction import MASK
from recording_worker.settings.model import Settings

_SECRET_PROPERTY = re.compile(r"password|passphrase|secret|\.pem$|oauthbearer\.(config|extensions)|kinit\.cmd")
"""librdkafka properties that hold secrets."""
_PASSWORD = re.compile(r"://[^/?#:@]*:(.*)@|[?&]password=([^&#]*)")


_TOKEN = re.compile(r"[!-~]{16,}")
"""A token that nobody guesses, and that a header can hold."""


def secrets_of(settings: Settings) -> Iterator[str]:
    """Yield each text that must not be shown, and the parts of it that errors of libraries may contain."""
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
            yield from _passwords(value.get_secret_value())
    for properties in (settings.kafka, settings.kafka_consumer, settings.kafka_producer, settings.kafka_outputs):
        for name, entry in properties.items():
            if is_secret_property(name):
                yield from _pieces(str(entry))
            else:
                yield from _passwords(str(entry))


def is_secret_property(name: str) -> bool:
    """Return whether a librdkafka property holds a secret."""
    return _SECRET_PROPERTY.search(name) is not None


def without_passwords(url: str) -> str:
    """Return a URL with a mask in place of user and password, also among its parameters."""
    return re.sub(r"(?i)([?&]\w*(?:password|secret)\w*=)[^&#]*", rf"\1{MASK}", without_user(url) if "@" in url else url)


def read_token(file: Path) -> str:
    """Return the token that a file holds. Raises ConfigError if it can't be read, or does not look like one."""
    try:
        token = file.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise ConfigError(f"can't read {file}: {error.strerror}") from None
    if not _TOKEN.fullmatch(token):
        raise ConfigError(f"{file} holds no token: write 16 or more letters, digits or signs without blanks into it")
    return token


def without_user(text: str) -> str:
    """Return a URL, or a host, with a mask in place of user and password."""
    return re.sub(r"(?s)^(\w+://)?.*@", rf"\1{MASK}@", text)


def _passwords(url: str) -> Iterator[str]:
    for match in _PASSWORD.finditer(url):
        for password in filter(None, match.groups()):
            yield password
            yield unquote(password)


def _pieces(text: str) -> Iterator[str]:
    """Yield the text, its words, the values in `key=value`, and its ends that begin at a word.

    librdkafka shows the rest of sasl.oauthbearer.config from a word that it does not know, or a value.
    """
    yield text
    for word in re.finditer(r"\S+", text):
        yield from filter(None, (word[0], word[0].partition("=")[2], text[word.start() :]))
