"""Fuzz the native core with libFuzzer, AddressSanitizer and UndefinedBehaviorSanitizer: one target a stage.

`python _native/fuzz/run.py SECONDS` builds what is out of date, makes seeds from the recordings in tests/data, runs
each target for SECONDS, and prints how many inputs each ran. Exit code 1 if an input crashes or hangs a target, or
fails a target's checks; build/fuzz keeps that input.
"""

import gzip
import json
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from os import sched_getaffinity
from pathlib import Path

import click
import simdjson

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from recording_worker.messages import Message  # noqa: E402
from tests.reference.decompress import decompress, encoding_of  # noqa: E402
from tests.sample import sample_messages  # noqa: E402

NATIVE = ROOT / "_native"
FUZZ = NATIVE / "fuzz"
BUILD = ROOT / "build" / "fuzz"
SIMDJSON = Path(simdjson.__file__).parent
FLAGS = [
    "-std=c++17",
    "-O1",
    "-gline-tables-only",
    "-fno-omit-frame-pointer",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=undefined",
    f"-I{NATIVE}",
    f"-I{SIMDJSON}",
    "-DSIMDJSON_IMPLEMENTATION_WESTMERE=0",
    "-DSIMDJSON_IMPLEMENTATION_ICELAKE=0",
]
LIBRARIES = ["-ldeflate", "-llz4", "-lzstd"]
MOST_SEED_BYTES = 4_000
BATCH_SEED_BYTES = 3_900
CODECS = {"plain": 0, "gzip": 1, "lz4": 2, "zstd": 3}
"""The first byte of an input of the decompress target chooses the encoding."""


def find_clang() -> str:
    """Return the path of clang++: the default one, or the newest version."""
    names = ["clang++", *(f"clang++-{version}" for version in range(30, 12, -1))]
    for name in names:
        if path := shutil.which(name):
            return path
    raise click.ClickException("no clang++ found. Debian: apt-get install clang libclang-rt-14-dev")


def core_sources() -> list[Path]:
    """Return the sources of the core, without the fuzz targets. The one that takes longest to compile comes first."""
    sources = sorted(path for path in NATIVE.rglob("*.cc") if path.parent != FUZZ)
    return sorted(sources, key=lambda path: path.stem != "simdjson")


def target_sources() -> list[Path]:
    """Return the sources of the fuzz targets. `replay` is for machines without libFuzzer."""
    return sorted(path for path in FUZZ.glob("*.cc") if path.stem != "replay")


def compile_object(clang: str, source: Path) -> Path:
    """Return the object file of a source. Compile it if the source or any header is newer."""
    made = BUILD / source.relative_to(NATIVE).with_suffix(".o")
    made.parent.mkdir(parents=True, exist_ok=True)
    inputs = [source, *NATIVE.rglob("*.hpp")]
    if not made.exists() or made.stat().st_mtime < max(path.stat().st_mtime for path in inputs):
        subprocess.run([clang, *FLAGS, "-fsanitize=fuzzer-no-link", "-c", str(source), "-o", str(made)], check=True)
    return made


def build_targets() -> dict[str, Path]:
    """Build all targets. Return target name → executable."""
    clang = find_clang()
    with ThreadPoolExecutor(len(sched_getaffinity(0))) as pool:
        core = pool.map(lambda source: compile_object(clang, source), core_sources())
        targets = pool.map(lambda source: compile_object(clang, source), target_sources())
        objects = list(map(str, core))

        def link(target: Path) -> Path:
            """Return the executable of a target's object file."""
            made = BUILD / f"fuzz_{target.stem}"
            command = [clang, *FLAGS, "-fsanitize=fuzzer", str(target), *objects, *LIBRARIES]
            subprocess.run([*command, "-o", str(made)], check=True)
            return made

        linked = pool.map(link, targets)
        return {source.stem: made for source, made in zip(target_sources(), linked, strict=True)}


def in_batch(message: Message) -> bytes:
    """Return a message as _native/fuzz/batch.cc reads it, with its headers and in partition 0."""
    value, headers = message.value or b"", dict(message.headers)
    encoding = encoding_of(value, (headers.get("content-encoding") or b"").decode() or None)
    ids = [headers.get(name) or b"" for name in ("session_id", "distinct_id")]
    options = {"gzip": 4, "lz4": 5, "zstd": 6}.get(encoding, 0) + 8 * bool(ids[0]) + 16 * bool(ids[1])
    texts = b"".join(bytes([len(text)]) + text for text in ids)
    return bytes([options, 0]) + texts + len(value).to_bytes(2, "little") + value


def write_seeds() -> None:
    """Write inputs to start from for each target: values, outer texts and event texts of real recordings."""
    folders = {source.stem: BUILD / "seeds" / source.stem for source in target_sources()}
    for folder in folders.values():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    (folders["time"] / "0").write_bytes(b"2026-11-27T01:02:03.456+01:30\n2024-02-29t23:59:60Z")
    batch = b""
    for message in sample_messages():
        value = message.value or b""
        header = dict(message.headers).get("content-encoding", b"").decode() or None
        encoding = encoding_of(value, header)
        text = decompress(value, encoding, 1 << 26)
        if len(text) > MOST_SEED_BYTES:
            continue
        name = str(message.offset)
        (folders["decompress"] / name).write_bytes(bytes([CODECS[encoding]]) + value)
        (folders["envelope"] / name).write_bytes(text)
        (folders["message"] / name).write_bytes(value)
        (folders["snappy"] / name).write_bytes(b"\x06" + text)
        (folders["columns"] / name).write_bytes(b"\n".join(text or b"-" for _, text in message.headers))
        batch = in_batch(message) + batch[: BATCH_SEED_BYTES - len(value)]
        (folders["batch"] / name).write_bytes(b"\0" + batch)
        data = json.loads(text)["data"].encode()
        (folders["events"] / name).write_bytes(data)
        samples = data.replace(b"},{", b"}\0{")
        (folders["dictionary"] / name).write_bytes(bytes([len(samples) // 64 % 256]) + samples)
        for number, item in enumerate(json.loads(data)["properties"]["$snapshot_items"]):
            if "cv" in item and isinstance(item["data"], str):
                string = json.dumps(item["data"], ensure_ascii=False)
                (folders["latin1"] / f"{name}-{number}").write_bytes(string[1:].encode())
                (folders["snappy"] / f"{name}-{number}").write_bytes(b"\x19" + string.encode())
                field = gzip.decompress(item["data"].encode("latin-1"))
                (folders["unpack"] / f"{name}-{number}").write_bytes(b"\0" + field)


def run_target(name: str, executable: Path, seconds: int) -> tuple[str, int, str]:
    """Fuzz one target. Return its name, how many inputs it ran, and its output if it found something."""
    corpus = BUILD / "corpus" / name
    corpus.mkdir(parents=True, exist_ok=True)
    command = [
        str(executable),
        f"-max_total_time={seconds}",
        "-timeout=1",
        "-rss_limit_mb=1024",
        "-max_len=4096",
        "-print_final_stats=1",
        f"-dict={FUZZ / 'json.dict'}",
        f"-artifact_prefix={BUILD}/{name}-",
        str(corpus),
        str(BUILD / "seeds" / name),
    ]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
    found = re.search(r"stat::number_of_executed_units: (\d+)", done.stderr)
    return name, int(found[1]) if found else 0, "" if done.returncode == 0 else done.stderr[-5000:]


@click.command()
@click.argument("seconds", type=click.IntRange(min=1))
def main(seconds: int) -> None:
    """Fuzz each stage of the native core for SECONDS."""
    click.echo("fuzz: building the targets")
    targets = build_targets()
    write_seeds()
    click.echo(f"fuzz: {', '.join(targets)}, {seconds} s each")
    with ThreadPoolExecutor(len(sched_getaffinity(0))) as pool:
        results = list(pool.map(lambda target: run_target(*target, seconds), targets.items()))
    for name, inputs, failure in results:
        click.echo(f"fuzz: {name}: {inputs:,} inputs, {'FAILED' if failure else 'nothing found'}")
        if failure:
            click.echo(failure, err=True)
    if any(failure or not inputs for _, inputs, failure in results):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
