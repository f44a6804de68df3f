"""What the number of instructions depends on, apart from the core's sources."""

import hashlib
import os
import platform
import re
import subprocess
from importlib.metadata import version
from pathlib import Path

from benchmarks.instructions.count import InstructionsError
from recording_worker import _native

_LIBRARIES = ("libzstd", "libdeflate", "liblz4", "libc", "libstdc++")


def surroundings() -> dict[str, str]:
    """Return the name of each tool and library → its version, or a hash of its file. Raises InstructionsError."""
    found = {
        "compiler": _first_line(os.environ.get("CXX", "c++"), "--version"),
        "valgrind": _first_line("valgrind", "--version"),
        "python": platform.python_version(),
        "pysimdjson": version("pysimdjson"),
    }
    assert _native.__file__ is not None
    for name, path in re.findall(r"^\s*(\S+) => (\S+)", _run("ldd", _native.__file__), re.MULTILINE):
        library = name.partition(".so")[0]
        if library in _LIBRARIES:
            found[library] = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
    return found


def _first_line(*command: str) -> str:
    return _run(*command).splitlines()[0]


def _run(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise InstructionsError(f"{command[0]} is missing or fails: {error}") from error
