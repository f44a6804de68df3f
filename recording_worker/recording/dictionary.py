"""The zstd dictionary that the settings name."""

from pathlib import Path

from recording_worker.errors import ConfigError
from recording_worker.formats.dictionary import MAX_DICTIONARY_BYTES, Dictionary
from recording_worker.settings.model import Settings

GENERAL_FILE = Path(__file__).with_name("general.dict")
"""What pages of many kinds have in common, such as style sheets of public frameworks. `make dictionary` makes it."""
_GENERAL_NAME = Path("general")
"""What the settings call it."""


def configured_dictionary(settings: Settings) -> Dictionary | None:
    """Read the dictionary that blocks are compressed with; None if the settings name none. Raises ConfigError."""
    path = settings.zstd_dictionary
    if path is None:
        return None
    if path == _GENERAL_NAME:
        path = GENERAL_FILE
    try:
        with path.open("rb") as file:
            return Dictionary.parse(file.read(MAX_DICTIONARY_BYTES + 1))
    except OSError as error:
        raise ConfigError(f"can't read the dictionary {path} (zstd_dictionary): {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} (zstd_dictionary): {error}") from error
