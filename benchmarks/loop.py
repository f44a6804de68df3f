"""Decode + record over and over in one process, for a profiler: `python -m benchmarks.loop FILE…`."""

import sys
import time
from pathlib import Path

import click

from benchmarks.contenders.native_core import NativePass, polls
from benchmarks.message_sets import load_messages, small_messages
from recording_worker.errors import WorkerError


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE…")
@click.option("--seconds", type=float, default=10.0, show_default=True, help="CPU seconds to spend.")
@click.option("--small", is_flag=True, help="Use the small messages that benchmarks.compare cuts from the files.")
def main(files: tuple[Path, ...], seconds: float, small: bool) -> None:
    """Run the native core over the messages of the files for this many CPU seconds."""
    try:
        messages, _ = load_messages(files)
    except WorkerError as error:
        print(f"loop: {error}", file=sys.stderr)
        sys.exit(1)
    prepared = polls(small_messages(messages) if small else messages)
    passes = size = 0
    started = time.process_time()
    while (spent := time.process_time() - started) < seconds:
        size += NativePass(prepared).bytes
        passes += 1
    print(f"{passes} passes, {size / spent / 1e6:,.1f} MB/s")


if __name__ == "__main__":
    main()
