"""`recording-worker dictionary train`: a zstd dictionary from recordings."""

import json
from pathlib import Path
from typing import Any

import click

from recording_worker.cli.options import (
    KEY_SETTINGS,
    S3_SETTINGS,
    check_folder_of,
    settings_from,
    settings_options,
)
from recording_worker.cli.output import print_figures
from recording_worker.cli.say import demand_command, say
from recording_worker.cli.scanning import Paths, Scan
from recording_worker.formats.batch_file import BatchFileError, index_frame_length
from recording_worker.formats.dictionary import MAX_DICTIONARY_BYTES
from recording_worker.reading.batch_files import TAIL_BYTES
from recording_worker.settings.units import parse_size, size_text
from recording_worker.storage.local.file import LocalFile

MIN_DICTIONARY_BYTES = 1024


@click.group(
    invoke_without_command=True,
    epilog="""\b
The command explains itself:
  recording-worker dictionary train --help""",
)
@click.pass_context
def dictionary(ctx: click.Context) -> None:
    """zstd dictionaries: what recordings have in common, so that blocks of single messages become smaller.

    The setting zstd_dictionary makes the service use one.
    """
    demand_command(ctx)


def _size(smallest: int, largest: int) -> Any:
    def parse(_ctx: click.Context, _parameter: click.Parameter, text: str) -> int:
        try:
            size = parse_size(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from error
        if not smallest <= size <= largest:
            raise click.BadParameter(f"must be from {size_text(smallest)} to {size_text(largest)}")
        return size

    return parse


@dictionary.command(
    short_help="Make a dictionary from recordings.",
    epilog="""\b
Examples:
  recording-worker dictionary train /var/lib/recordings/blocks --out pages.dict
  recording-worker dictionary train s3://recordings/blocks/30d --out pages.dict --size 256KiB
  recording-worker dictionary train dump-*.jsonl.zst --out pages.dict
  recording-worker run --zstd-dictionary pages.dict --config /etc/recording-worker.toml""",
)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True)
@click.option(
    "--out", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="File to write."
)
@click.option(
    "--size",
    default="1MiB",
    show_default=True,
    metavar="SIZE",
    callback=_size(MIN_DICTIONARY_BYTES, MAX_DICTIONARY_BYTES),
    help="Largest size of the dictionary.",
)
@click.option(
    "--sample",
    "sample_bytes",
    default="64MiB",
    show_default=True,
    metavar="SIZE",
    callback=_size(64 * 1024, 1 << 30),
    help="Lines to learn from, chosen by chance; training takes about four times as much memory.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON, and nothing else.")
@settings_options(("zstd_level", "unpack_client_compression", *S3_SETTINGS, *KEY_SETTINGS))
def train(
    paths: tuple[str, ...],
    out: Path,
    size: int,
    sample_bytes: int,
    as_json: bool,
    config: Path | None,
    **flags: Any,
) -> None:
    """Train a dictionary on recordings, and say what it saves on recordings that it has not seen.

    A PATH is a batch file, a folder of batch files, s3://BUCKET/PREFIX, or a file of messages as `ingest` reads them.
    A fifth of the sessions is kept apart to measure with. The dictionary holds pieces of the recordings: treat it as
    you treat them.
    """
    settings = settings_from(config, flags)
    check_folder_of(out, "--out")
    from recording_worker.cli.signals import signals_end
    from recording_worker.operations.dictionary import Training, write_dictionary

    training = Training(settings, sample_bytes)
    message_files = [path for path in paths if _holds_messages(path)]
    with signals_end():
        scan = Scan(Paths(tuple(path for path in paths if path not in message_files), settings))
        scan.problems += training.add_files(scan.blocks())
        for path in message_files:
            training.add_messages(Path(path))
        trained = training.train(size)
        write_dictionary(trained.dictionary, out)
    if as_json:
        say(json.dumps(trained.figures()))
    else:
        figures = trained.figures()
        print_figures(f"Written to {out}: dictionary {figures.pop('id')}", figures)
    scan.raise_problems()


def _holds_messages(path: str) -> bool:
    """Return whether a path is a file on this machine that does not end like a batch file."""
    if not Path(path).is_file():
        return False
    file = LocalFile(Path(path))
    try:
        return index_frame_length(path, *file.read_tail(TAIL_BYTES)) is None
    except BatchFileError:
        return False
