"""The plain tables that commands print: their look, and times and lengths as text."""

from datetime import timedelta

from rich import box
from rich.console import Console
from rich.table import Table

from recording_worker.formats.timestamps import utc_text

_UNLIMITED_WIDTH = 1000


def table_console() -> Console:
    """Return a console on standard output. If that is no terminal, no table is made narrower."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _UNLIMITED_WIDTH
    return console


def plain_table() -> Table:
    """Return an empty table without borders: a line under the headings, and one blank between columns."""
    return Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, title_justify="left", title_style="")


def time_text(ms: float) -> str:
    """Write milliseconds since 1970 as a UTC time, to the second."""
    return utc_text(ms).partition(".")[0]


def length_text(ms: float) -> str:
    """Write milliseconds as hours, minutes and seconds."""
    return str(timedelta(seconds=int(ms) // 1000))
