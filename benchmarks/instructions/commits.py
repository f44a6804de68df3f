"""Other commits of this repository, each built in a folder of its own in build/commits."""

import subprocess
import sys
from pathlib import Path

from benchmarks.instructions.count import ROOT, InstructionsError


def built(commit: str) -> Path:
    """Return a checkout of a commit with its native core built, as this Python builds it. It is kept for the next time.

    Raises InstructionsError if there is no such commit, or it can't be built.
    """
    sha = sha_of(commit)
    folder = ROOT / "build/commits" / sha[:12]
    if not folder.exists():
        _output("git", "worktree", "prune")
        _output("git", "worktree", "add", "--force", "--detach", str(folder), sha)
    if not list((folder / "recording_worker").glob("_native*.so")):
        print(f"building {sha[:12]} (a minute or two)", file=sys.stderr)
        _output(sys.executable, "setup.py", "--quiet", "build_ext", "--inplace", cwd=folder)
    return folder


def sha_of(commit: str) -> str:
    """Return the full name of a commit. Raises InstructionsError if there is no such commit."""
    return _output("git", "rev-parse", "--verify", f"{commit}^{{commit}}")


def last_commit_of(path: Path) -> str:
    """Return the commit that last changed a file. Raises InstructionsError if the history lacks it."""
    sha = _output("git", "log", "-1", "--format=%H", "--", str(path))
    if not sha:
        raise InstructionsError(f"no commit has changed {path.name}")
    return sha


def _output(*command: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
        raise InstructionsError(f"{' '.join(command[:3])} failed: {last}")
    return done.stdout.strip()
