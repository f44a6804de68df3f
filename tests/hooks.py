"""A build of the native core in which certain messages crash or hang it, and how to run the worker on that build.

`python -m tests.hooks` makes the build, so that no test has to wait for it. It is made once a change of the core.
"""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

CRASH = "recording-worker-test-hook: crash"
"""The decoder ends its process by SIGSEGV at a message that holds this text anywhere (`_native/test_hooks.hpp`)."""
HANG = "recording-worker-test-hook: hang"
"""At this one it never returns. The GIL is released, as it is whenever the decoder runs."""
FLUSH_CRASH = "recording-worker-test-hook: flush crash"
"""The decoder takes a message with this text as any other. The flush of its lines ends the process by SIGSEGV."""
FLUSH_HANG = "recording-worker-test-hook: flush hang"
"""The flush of these lines never ends, without the GIL."""

_ROOT = Path(__file__).parent.parent
_BUILD = _ROOT / "build" / "hooks"


def build() -> Path:
    """Return the native core with the hooks; build it if it is not up to date, in one process at a time."""
    _BUILD.mkdir(parents=True, exist_ok=True)
    with (_BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            [sys.executable, "setup.py", "--quiet", "build_ext", "--build-lib", str(_BUILD / "lib")],
            cwd=_ROOT,
            env=os.environ | {"RECORDING_WORKER_BUILD": "hooks"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return _BUILD / "lib" / "recording_worker" / "_native.abi3.so"


def environment(folder: Path) -> dict[str, str]:
    """Environment variables that have a Python process, and what it spawns, run on the build with the hooks.

    In `folder` there will be a package of links: to the sources as they are, and to that build.
    """
    package = folder / "with-hooks" / "recording_worker"
    package.mkdir(parents=True)
    library = build()
    for path in (_ROOT / "recording_worker").iterdir():
        if path.suffix != ".so":
            (package / path.name).symlink_to(path)
    (package / library.name).symlink_to(library)
    # safe: the working folder, which holds the package too, is not looked into first
    return {"PYTHONPATH": str(package.parent), "PYTHONSAFEPATH": "1"}


if __name__ == "__main__":
    build()
