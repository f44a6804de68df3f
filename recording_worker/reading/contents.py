"""Contents: what people search sessions by and their indexes don't say. Found in the lines of a block."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from recording_worker.formats.rrweb import console_line, is_click, read_line, url_of

MAX_TEXT = 20_000
"""Characters of addresses, of errors and of other console messages that are kept of a block."""

SEPARATOR = "\U0010ffff"
"""Stands between texts. It is no character, and no text has it."""
_TELLING = re.compile(rb'"type"\s*:\s*[456]|"source"\s*:\s*2|\\u00')
"""A line without this is no page change, no custom event, no console message and no click. Most lines are like that, so
they are not parsed."""


class Contents(NamedTuple):
    """What the lines of a block say. Texts are `searchable`, each different one once, with SEPARATOR between them."""

    clicks: int = 0
    errors: int = 0
    warnings: int = 0
    url: str | None = None
    """The first page's address, as it was recorded."""
    urls: str = ""
    error_text: str = ""
    console_text: str = ""
    """What the console says that is no error."""


def searchable(text: str) -> str:
    """Return a text as it is kept and searched: in small letters."""
    return text.lower().replace(SEPARATOR, "\ufffd")


def contents_of(lines: Iterable[bytes]) -> Contents:
    """Return the contents of a block's lines. Lines that can't be read count as nothing.

    Clicks and messages count as docs/data/messages.md has it, addresses only in page changes and custom events.
    """
    clicks = errors = warnings = 0
    first = None
    urls, error_texts, other_texts = _Texts(), _Texts(), _Texts()
    for line in lines:
        if not _TELLING.search(line):
            continue
        try:
            _, event, _ = read_line(line)
        except (ValueError, RecursionError):
            continue
        clicks += is_click(event)
        if said := console_line(event):
            errors += said.level == "error"
            warnings += said.level == "warn"
            (error_texts if said.level == "error" else other_texts).add(said.message)
        if url := url_of(event):
            first = first or url
            urls.add(url)
    return Contents(clicks, errors, warnings, first, str(urls), str(error_texts), str(other_texts))


class _Texts:
    """Different texts, up to MAX_TEXT characters."""

    def __init__(self) -> None:
        self._texts: dict[str, None] = {}
        self._room = MAX_TEXT

    def add(self, text: str) -> None:
        text = searchable(text[: self._room])
        if text and text not in self._texts:
            self._texts[text] = None
            self._room = max(0, self._room - len(text) - 1)

    def __str__(self) -> str:
        return SEPARATOR.join(self._texts)
