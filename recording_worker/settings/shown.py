"""Settings as people may see them: each with its value and where that comes from, and without secrets."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pydantic import SecretStr

from recording_worker.redaction import MASK, redact
from recording_worker.settings.compatibility import defaults_of
from recording_worker.settings.load import TABLES
from recording_worker.settings.model import Settings
from recording_worker.settings.secrets import is_secret_property, without_passwords
from recording_worker.settings.units import size_text, value_text

_NOT_SET = ""


class ShownSetting(NamedTuple):
    """One setting, or one librdkafka property of a table."""

    name: str
    value: str
    """As a user would write it; empty if it is not set."""
    source: str
    """The flag, the variable, the key and its file, or which default it is."""


def shown_settings(settings: Settings, sources: Mapping[str, str]) -> Iterator[ShownSetting]:
    """Yield all settings in their order. `sources`: what was given → where (see `load.Given`)."""
    defaults = defaults_of(settings.compatibility)
    for name in Settings.model_fields:
        if name in sources:
            source = sources[name]
        elif name in defaults:
            source = f"default with compatibility {settings.compatibility}"
        else:
            source = "default"
        if name in TABLES:
            for key, entry in getattr(settings, name).items():
                shown = MASK if is_secret_property(key) else without_passwords(str(entry))
                yield ShownSetting(f"{name}.{key}", redact(shown), source)
            continue
        value, derived = _value(settings, name)
        yield ShownSetting(name, redact(value), f"{source}, {derived}" if derived else source)


def _value(settings: Settings, name: str) -> tuple[str, str]:
    """Return a setting's value as text, and what it follows from if it was not set but is known all the same."""
    value = getattr(settings, name)
    if isinstance(value, SecretStr):
        return without_passwords(value.get_secret_value()), ""
    if isinstance(value, bool):
        return str(value).lower(), ""
    if value is not None:
        return value_text(Settings.model_fields[name], value), ""
    if name == "memory":
        return size_text(settings.memory_bytes), "by the memory of the container"
    if name == "max_batch_bytes":
        return size_text(settings.budget.batch_bytes), "by memory"
    if name == "unpack_client_compression":
        return str(settings.unpacks_client_compression).lower(), "by codec"
    return _NOT_SET, ""
