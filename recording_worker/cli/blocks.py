"""`recording-worker blocks`: lists what batch files hold."""

import sys
from collections.abc import Iterable

import click
from rich.console import Console

from recording_worker.cli.scanning import Paths, Scan, paths_argument, standard_output
from recording_worker.cli.tables import Totals, block_json, file_table
from recording_worker.reading.batch_files import Block


@click.command()
@click.option("--json", "as_json", is_flag=True, help="JSON lines, one a block, instead of tables.")
@paths_argument
def blocks(paths: Paths, as_json: bool) -> None:
    """List the blocks of batch files, from the index at the end of each file alone.

    A PATH is a batch file, a folder of them, or s3://BUCKET/PREFIX. Needs neither Kafka nor a database.
    """
    scan = Scan(paths)
    with standard_output():
        if as_json:
            _write_json(scan.blocks())
        else:
            _print_tables(scan.blocks())
    scan.raise_problems()


def _write_json(files: Iterable[list[Block]]) -> None:
    for found in files:
        sys.stdout.buffer.writelines(map(block_json, found))


def _print_tables(files: Iterable[list[Block]]) -> None:
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 1000  # as wide as the table is: there is no screen to fit
    totals = Totals()
    for found in files:
        totals.add(found)
        if found:
            console.print(file_table(found))
    console.print(str(totals))
