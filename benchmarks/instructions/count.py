"""Counts instructions by callgrind: always the same for the same core and libraries, whatever else the machine does."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.inputs import SAMPLE
from benchmarks.message_sets import load_messages, small_messages
from benchmarks.wire import write_wire

ROOT = Path(__file__).parents[2]
_HERE = Path(__file__).parent
_PATHS = {"PYTHONHASHSEED": "0", "SIMDJSON_FORCE_IMPLEMENTATION": "haswell"}
"""One path through the core on each machine. Valgrind knows no AVX-512; what it tells libraries of the processor is the
same on each machine with AVX2."""


class InstructionsError(Exception):
    """What is needed is missing, or the counted process failed."""


@contextmanager
def inputs() -> Iterator[tuple[Path, Path]]:
    """Write the sample and the small messages cut from it to files for a while."""
    messages, _ = load_messages([SAMPLE])
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "messages"), Path(folder, "small")
        write_wire(paths[0], messages)
        write_wire(paths[1], small_messages(messages))
        yield paths


def work_command(paths: tuple[Path, Path], *mode: str) -> list[str]:
    """Return the command of the work. Python starts without site-packages, which the work does not need."""
    return [sys.executable, "-S", "-P", str(_HERE / "work.py"), *map(str, paths), *mode]


def environment(core: Path) -> dict[str, str]:
    """Return the environment of the work. `core`: the folder of the checkout whose native core it uses."""
    return os.environ | _PATHS | {"PYTHONPATH": os.pathsep.join(map(str, dict.fromkeys((core, ROOT))))}


def count(core: Path = ROOT) -> dict[str, int]:
    """Return case → instructions, of the native core in this checkout. Raises InstructionsError."""
    with inputs() as paths, tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "out")
        done = subprocess.run(
            [
                *("valgrind", "--tool=callgrind", "--instr-atstart=no", "--quiet"),
                f"--callgrind-out-file={output}",
                *work_command(paths, "count", str(_helper())),
            ],
            env=environment(core),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise InstructionsError(f"the counted process failed: {done.stderr.strip()[-500:]}")
        found = dict(_counts(Path(folder)))
    if not found:
        raise InstructionsError("callgrind has counted nothing")
    return found


def _counts(folder: Path) -> Iterator[tuple[str, int]]:
    for path in sorted(
        folder.iterdir(), key=lambda path: int(path.suffix[1:] or 0) if path.suffix[1:].isdigit() else 0
    ):
        text = path.read_text(encoding="utf-8", errors="replace")
        name = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.MULTILINE)
        total = re.search(r"^totals: (\d+)", text, re.MULTILINE)
        if name and total:
            yield name[1], int(total[1])


def _helper() -> Path:
    """Compile what lets Python talk to callgrind, and return the library."""
    library = ROOT / "build/instructions/callgrind.so"
    source = _HERE / "callgrind.c"
    if not library.exists() or library.stat().st_mtime < source.stat().st_mtime:
        library.parent.mkdir(parents=True, exist_ok=True)
        compiler = os.environ.get("CC", "cc")
        done = subprocess.run(
            [compiler, "-O1", "-shared", "-fPIC", str(source), "-o", str(library)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise InstructionsError(f"valgrind's headers are missing, or the compiler is: {done.stderr.strip()[-300:]}")
    return library
