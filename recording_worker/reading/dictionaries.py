"""Dictionaries: fetches the zstd dictionaries that batch files were written with, each once."""

import threading

from recording_worker.formats.batch_file import BatchFileError, FileMissingError
from recording_worker.formats.dictionary import MAX_DICTIONARY_BYTES, Dictionary
from recording_worker.storage.base import RangedFile


class DictionaryError(BatchFileError):
    """The dictionary of a file is not there, or can't be used. The text names file, dictionary and place."""


class Dictionaries:
    """The dictionaries of the files of one command. Threads may share it. Each dictionary is in memory once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._found: dict[str, Dictionary | str] = {}
        """By name of the dictionary's file: the dictionary, or what is wrong with it."""

    def of(self, file: RangedFile, dictionary_id: str | None) -> Dictionary | None:
        """Return the dictionary that the index of `file` names; None if it names none. Raises DictionaryError.

        It is looked for where the file is: in `dictionaries/`, next to the folder of the file's retention period.
        """
        if dictionary_id is None:
            return None
        stored = file.dictionary(dictionary_id)
        with self._lock:
            if stored.name not in self._found:
                self._found[stored.name] = _read(stored, dictionary_id)
            found = self._found[stored.name]
        if isinstance(found, str):
            raise DictionaryError(f"{file.name}: its blocks need dictionary {dictionary_id}: {found}")
        return found


def _read(stored: RangedFile, dictionary_id: str) -> Dictionary | str:
    """Return the dictionary in a file, or what is wrong with it, which names the file."""
    try:
        content, size = stored.read_tail(MAX_DICTIONARY_BYTES)
    except FileMissingError as error:
        return f"it is not there ({error})"
    except BatchFileError as error:
        return f"it can't be read ({error})"
    try:
        if size > len(content):
            raise ValueError(f"a dictionary has at most {MAX_DICTIONARY_BYTES} bytes")
        dictionary = Dictionary.parse(content)
    except ValueError as error:
        return f"{stored.name} can't be used: {error}"
    if dictionary.id != dictionary_id:
        return f"{stored.name} holds another one, or is damaged"
    return dictionary
