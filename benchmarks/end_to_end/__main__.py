"""Measure the whole job: `python -m benchmarks.end_to_end`, see docs/change/benchmarks.md."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click

from benchmarks.contenders.node import prepare_kafka_client, prepare_node
from benchmarks.contenders.process import ContenderError
from benchmarks.end_to_end.contenders import Contender, Node, Product
from benchmarks.end_to_end.loads import SIZES, Shape, make_load, read_originals
from benchmarks.end_to_end.machine import describe, load_average, split_cores
from benchmarks.end_to_end.storage import LOCAL, Storage, s3_storage
from benchmarks.end_to_end.turns import Conditions, measure_load, note
from benchmarks.tables import end_to_end_tables
from recording_worker.errors import WorkerError
from tests.servers.child import ServerError

SAMPLE = Path(__file__).parents[2] / "tests" / "data" / "sample.jsonl.zst"
NODE = "node"
PRODUCTS: Mapping[str, tuple[str, ...]] = {
    "snappy": ("--codec", "snappy"),
    "default": (),
    "snappy-unpacked": ("--codec", "snappy", "--unpack-client-compression"),
    "zstd-packed": ("--no-unpack-client-compression",),
}
"""The product's contenders and their flags. `snappy` writes what Node writes."""
STORAGES: Mapping[str, Callable[[Sequence[int]], AbstractContextManager[Storage]]] = {
    LOCAL: lambda _: nullcontext(Storage(LOCAL)),
    "s3": s3_storage,
    "blackhole": lambda _: nullcontext(Storage("blackhole:")),
}


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE…]")
@click.option(
    "--shape",
    "shapes",
    type=click.Choice([str(shape) for shape in Shape]),
    multiple=True,
    default=("web", "small"),
    show_default=True,
    help="What the load is like. May be given several times.",
)
@click.option(
    "--size",
    type=click.IntRange(min=1),
    help="Megabytes of message values in each load, uncompressed.  [default: by shape, 200 to 600]",
)
@click.option("--runs", type=click.IntRange(min=1), default=5, show_default=True, help="Rounds to take medians of.")
@click.option(
    "--contender",
    "names",
    type=click.Choice([NODE, *PRODUCTS]),
    multiple=True,
    default=(NODE, "snappy", "default"),
    show_default=True,
    help="Who takes part. May be given several times.",
)
@click.option("--add", "added", multiple=True, metavar="NAME=FLAGS", help="Add the product with these flags of `run`.")
@click.option(
    "--against", multiple=True, metavar="NAME=PYTHON", help="Add all of the product's contenders in another build."
)
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Worker processes.")
@click.option(
    "--storage",
    type=click.Choice(list(STORAGES)),
    default=LOCAL,
    show_default=True,
    help="Where files go: a folder, an S3 server on the broker's cores (without Node), or nowhere.",
)
@click.option("--partitions", type=click.IntRange(min=1), default=4, show_default=True, help="The topic's partitions.")
@click.option("--seed", default=1, show_default=True, help="Seed of session ids and of the order.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def main(
    files: tuple[Path, ...],
    shapes: tuple[str, ...],
    size: int | None,
    runs: int,
    names: tuple[str, ...],
    added: tuple[str, ...],
    against: tuple[str, ...],
    workers: int,
    storage: str,
    partitions: int,
    seed: int,
    as_json: bool,
) -> None:
    """Measure the whole job: from a real Kafka to stored files and committed offsets.

    A FILE holds messages as JSON lines, plain or .zst, as `recording-worker ingest` reads them. Loads are made of
    copies of their sessions. Without a FILE they are made of the sample of real recordings in tests/data.
    """
    machine = describe()
    cores = split_cores()
    os.sched_setaffinity(0, cores.broker)
    files = files or (SAMPLE,)
    if storage == "s3":
        names = tuple(name for name in names if name != NODE)
    try:
        contenders = choose(names, added, against, workers)
        originals = read_originals(files)
        load_at_start = load_average()
        loads = {}
        with STORAGES[storage](cores.broker) as where:
            conditions = Conditions(runs, partitions, where, cores)
            for shape in map(Shape, shapes):
                load = make_load(originals, shape, size * 1_000_000 if size else SIZES[shape], seed)
                loads[str(shape)] = measure_load(load, contenders, conditions)
    except (ContenderError, WorkerError, ServerError) as error:
        print(f"end_to_end: {error}", file=sys.stderr)
        sys.exit(1)
    pinned = {"broker_cores": cores.broker, "consumer_cores": cores.consumer}
    machine |= {**pinned, "load_at_start": load_at_start, "load_at_end": load_average()}
    settings = {
        "files": [path.name for path in files],
        "runs": runs,
        "workers": workers,
        "storage": storage,
        "partitions": partitions,
        "seed": seed,
    }
    report = {"machine": machine, "settings": settings, "loads": loads}
    print(json.dumps(report, indent=2) if as_json else end_to_end_tables(report))


def choose(names: Sequence[str], added: Sequence[str], against: Sequence[str], workers: int) -> list[Contender]:
    """Return the contenders. Those that are not available here are left out, and named on stderr."""
    contenders: list[Contender] = []
    if NODE in names:
        try:
            prepare_node()
            prepare_kafka_client()
            contenders.append(Node())
        except ContenderError as error:
            note(f"without Node: {error}")
    flags = {name: PRODUCTS[name] for name in names if name != NODE}
    flags |= {name: tuple(shlex.split(text)) for name, text in map(_pair, added)}
    products = [Product(name, given, workers) for name, given in flags.items()]
    others = [
        Product(f"{name} ({build})", given, workers, python)
        for build, python in map(_pair, against)
        for name, given in flags.items()
    ]
    return [*contenders, *products, *others]


def _pair(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise ContenderError(f"{text!r} is not NAME=VALUE")
    return name, value


if __name__ == "__main__":
    main()
