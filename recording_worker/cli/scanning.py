"""What the commands that read batch files share: going through the files, and writing what was found."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import click
from rich.console import Console
from rich.progress import track

from recording_worker.errors import WorkerError
from recording_worker.reading.index import BatchFileError, Block, find_files, read_blocks


class Scan:
    """Goes through batch files, with a progress bar on standard error if that is a terminal.

    A file that can't be read does not end it: it is said at the end.
    """

    def __init__(self, paths: Iterable[str]) -> None:
        self._files = list(find_files(paths))
        self._problems: list[BatchFileError] = []

    @property
    def files(self) -> int:
        """How many files there are to read."""
        return len(self._files)

    def blocks(self) -> Iterator[list[Block]]:
        """The blocks of each file that can be read."""
        console = Console(stderr=True)
        for found in track(
            read_blocks(self._files),
            "Reading indexes",
            total=len(self._files),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        ):
            if isinstance(found, BatchFileError):
                self._problems.append(found)
            else:
                yield found

    def raise_problems(self) -> None:
        """Raise BatchFileError where files could not be read: a line for each."""
        if self._problems:
            raise BatchFileError("\n".join(map(str, self._problems)))


@contextmanager
def standard_output() -> Iterator[None]:
    """Writing to standard output: a reader that has gone (`| head`) ends the command quietly with exit code 1.

    Raises WorkerError where it can't be written for another reason.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more when it exits
        if isinstance(error, BrokenPipeError):
            sys.exit(1)
        raise WorkerError(f"can't write to standard output: {error.strerror}") from error


paths_argument = click.argument("paths", metavar="PATH...", nargs=-1, required=True)
