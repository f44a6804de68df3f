"""Builds the floor: a bare C++ loop over the libraries the native core uses."""

import hashlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path

from benchmarks.contenders.process import ROOT, ContenderError

_SOURCES = ROOT / "benchmarks" / "floor"
_BUILD = ROOT / "build" / "benchmarks"
_FLAGS = ["-O3", "-std=c++17", "-DNDEBUG"]
"""For any machine: simdjson and the unescaping choose their instructions at run time."""
_X86_FLAGS = {
    "unescape_bmi2.cc": ["-mavx2", "-mbmi2", "-mpopcnt"],
    "unescape_avx512.cc": ["-mavx512bw", "-mavx512vbmi2", "-mpopcnt"],
}
_LIBRARIES = ["-ldeflate", "-llz4"]


def build_floor() -> Path:
    """Return the program; build it if necessary. Raises ContenderError if something is missing."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise ContenderError("no C++ compiler")
    simdjson = _simdjson()
    stamp = hashlib.sha256(f"{compiler} {simdjson}".encode())
    for source in sorted(_SOURCES.iterdir()):
        stamp.update(source.read_bytes())
    program = _BUILD / f"floor-{stamp.hexdigest()[:12]}"
    if not program.exists():
        _BUILD.mkdir(parents=True, exist_ok=True)
        for outdated in _BUILD.glob("floor-*"):
            outdated.unlink()
        with tempfile.TemporaryDirectory(dir=_BUILD) as folder:
            objects = [_object([compiler, *_FLAGS, f"-I{simdjson}"], source, folder) for source in _sources(simdjson)]
            unfinished = Path(folder) / program.name
            _run([compiler, *objects, *_LIBRARIES, "-o", unfinished])
            unfinished.replace(program)
    return program


def _sources(simdjson: Path) -> list[Path]:
    x86 = platform.machine() == "x86_64"
    own = [path for path in sorted(_SOURCES.glob("*.cc")) if x86 or path.name not in _X86_FLAGS]
    return [*own, simdjson / "simdjson.cpp"]


def _object(compile_command: list[str], source: Path, folder: str) -> Path:
    target = Path(folder) / f"{source.stem}.o"
    _run([*compile_command, *_X86_FLAGS.get(source.name, []), "-c", source, "-o", target])
    return target


def _simdjson() -> Path:
    """Return the folder of simdjson.h and simdjson.cpp, which pysimdjson contains."""
    try:
        package = importlib.metadata.distribution("pysimdjson")
    except importlib.metadata.PackageNotFoundError:
        raise ContenderError("pysimdjson is not installed") from None
    return Path(str(package.locate_file("simdjson")))


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or ["the compiler failed"]
        raise ContenderError(errors[0])
