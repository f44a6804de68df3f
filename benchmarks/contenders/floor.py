"""Builds the floor: a bare C++ loop over the libraries the native core uses."""

import hashlib
import importlib.metadata
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.contenders.process import ROOT, ContenderError

_SOURCES = ROOT / "benchmarks" / "floor"
_BUILD = ROOT / "build" / "benchmarks"
_FLAGS = ["-O3", "-std=c++17", "-DNDEBUG"]
"""Nothing for one machine alone: simdjson chooses its instructions at run time, as it does in the native core."""


def build_floor() -> Path:
    """The program, built if it isn't yet. Raises ContenderError where something is missing."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        raise ContenderError("no C++ compiler")
    simdjson = _simdjson()
    sources = sorted(_SOURCES.iterdir())
    stamp = hashlib.sha256(b"".join(source.read_bytes() for source in sources) + str(simdjson).encode())
    program = _BUILD / f"floor-{stamp.hexdigest()[:12]}"
    if not program.exists():
        _BUILD.mkdir(parents=True, exist_ok=True)
        unfinished = program.with_suffix(f".{os.getpid()}")
        inputs = [_SOURCES / "floor.cc", simdjson / "simdjson.cpp"]
        _compile([compiler, *_FLAGS, f"-I{simdjson}", *inputs, "-ldeflate", "-llz4", "-o", unfinished])
        unfinished.replace(program)
    return program


def _simdjson() -> Path:
    """The folder of simdjson.h and simdjson.cpp, which pysimdjson carries."""
    try:
        package = importlib.metadata.distribution("pysimdjson")
    except importlib.metadata.PackageNotFoundError:
        raise ContenderError("pysimdjson is not installed") from None
    return Path(str(package.locate_file("simdjson")))


def _compile(command: list[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or ["the compiler failed"]
        raise ContenderError(errors[0])
