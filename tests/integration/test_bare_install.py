"""The package without extras, installed as a wheel where there is no compiler, lists the sample's sessions."""

import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from recording_worker import _native
from recording_worker.extras import EXTRAS
from tests.sample import SAMPLE

ROOT = Path(__file__).parents[2]


def run(*command: object, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    done = subprocess.run([*map(str, command)], cwd=cwd, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_wheel(folder: Path) -> Path:
    """Make a wheel of the native core that is built already."""
    built = folder / "lib" / "recording_worker"
    built.mkdir(parents=True)
    shutil.copy(_native.__file__, built)  # it is newer than its sources, so nothing is compiled
    options = ["--quiet", "build", "--build-lib", built.parent, "bdist_wheel", "--dist-dir", folder / "dist"]
    run(sys.executable, "setup.py", *options)
    (wheel,) = (folder / "dist").iterdir()
    return wheel


def test_a_bare_environment_reads_files(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    assert re.fullmatch(r"recording_worker-[\d.]+-cp311-abi3-linux_\w+\.whl", wheel.name), (
        "it serves Python 3.11 and later"
    )
    constraints = tmp_path / "constraints.txt"
    locked = re.findall(r"^[\w.-]+==[^ ]+(?: ; [^\\]+)?", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    constraints.write_text("\n".join(locked))
    bare = tmp_path / "bare"
    run(sys.executable, "-m", "venv", "--without-pip", bare)
    options = ["--quiet", "--no-compile", "--only-binary", ":all:", "--constraint", constraints]
    run(sys.executable, "-m", "pip", "--python", bare / "bin/python", "install", *options, wheel)

    environment = {"PATH": str(bare / "bin")}
    installed = {path.name for path in bare.glob("lib/*/site-packages/*")}
    assert installed.isdisjoint(EXTRAS)
    worker = bare / "bin" / "recording-worker"
    assert "Commands" in run(worker, "--help", cwd=tmp_path, env=environment)
    run(worker, "ingest", SAMPLE, "--out", "out", "--any-token", cwd=tmp_path, env=environment)
    listed = run(worker, "sessions", "out/blocks", "--json", cwd=tmp_path, env=environment)
    assert '"session_id"' in listed
