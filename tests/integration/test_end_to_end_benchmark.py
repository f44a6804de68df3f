"""benchmarks.end_to_end on a small load: the product and Node do the whole job, and are measured."""

import shutil
from typing import Any

import pytest

from benchmarks.contenders.node import prepare_kafka_client, prepare_node
from benchmarks.contenders.process import ContenderError
from benchmarks.end_to_end.contenders import Contender, Node, Product
from benchmarks.end_to_end.loads import Load, Shape, make_load, read_originals
from benchmarks.end_to_end.machine import split_cores
from benchmarks.end_to_end.storage import LOCAL, Storage
from benchmarks.end_to_end.turns import Conditions, measure_load
from benchmarks.parts import PARTS
from benchmarks.parts import measure as measure_parts
from recording_worker.settings.choices import Codec
from tests.sample import SAMPLE

QUICK = ("--max-batch-age", "500ms")
CONDITIONS = Conditions(runs=1, partitions=2, storage=Storage(LOCAL), cores=split_cores())


@pytest.fixture(scope="module")
def load() -> Load:
    return make_load(read_originals([SAMPLE]), Shape.SMALL, 1_500_000, seed=1)


@pytest.fixture(scope="module")
def node() -> list[Contender]:
    """The Node consumer, where it can be had."""
    if shutil.which("node") is None:
        return []
    try:
        prepare_node()
        prepare_kafka_client()
    except ContenderError:
        return []
    return [Node()]


def test_contenders_do_the_whole_job(load: Load, node: list[Contender]) -> None:
    products: list[Contender] = [
        Product("snappy", (*QUICK, "--codec", "snappy")),
        Product("two workers", QUICK, workers=2),
    ]
    measured: Any = measure_load(load, [*node, *products], CONDITIONS)
    assert measured["messages"] == load.messages
    figures = measured["contenders"]
    assert len({each["events"] for each in figures.values()}) == 1
    for name, each in figures.items():
        assert each["messages"] == load.messages, name
        assert 0.1 < each["start_up_cpu_s"] + each["cpu_s"] < 60, name
        assert 20_000_000 < each["peak_rss_bytes"] < 1_000_000_000, name
        assert 0 < each["commit_s_p50"] <= each["commit_s_p99"] < 60, name
        assert 0 <= each["pause_s_p99"] < 60, name
    assert 0.01 * load.bytes < figures["two workers"]["stored_bytes"] < figures["snappy"]["stored_bytes"] < load.bytes
    for contender in node:
        assert figures["snappy"]["stored_bytes"] == pytest.approx(figures[contender.name]["stored_bytes"], rel=0.05)


def test_a_contender_that_leaves_out_messages_is_an_error(load: Load) -> None:
    strict = Product("strict", (*QUICK, "--max-timestamp-diff-days", "1"))
    with pytest.raises(ContenderError, match=f"strict recorded 0 of {load.messages:,} messages"):
        measure_load(load, [strict], CONDITIONS)


def test_a_contender_that_fails_is_an_error_with_its_last_words(load: Load) -> None:
    broken = Product("broken", ("--codec", "none"))
    with pytest.raises(ContenderError, match=r"broken ended with code 2; its log ends with:(.|\n)*codec"):
        measure_load(load, [broken], CONDITIONS)


def test_the_parts_of_the_job_are_measured_on_the_same_load(load: Load) -> None:
    found: Any = measure_parts(load, [Codec.SNAPPY, Codec.ZSTD], runs=1)
    assert 0.01 * load.bytes < found["zstd"]["stored_bytes"] < found["snappy"]["stored_bytes"] < load.bytes
    for codec, costs in found.items():
        assert all(0 < costs[part] < 1000 for part in PARTS), codec
