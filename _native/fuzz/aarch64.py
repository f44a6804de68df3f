"""Check the native core on aarch64: cross-compile everything, and run the stages that need no codec under qemu.

`python _native/fuzz/aarch64.py` replays the seeds, and the inputs that fuzzing has found, on the targets that need no
codec. These compare the NEON loops with simple code. Exit code 1 if anything fails.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import click
from run import BUILD, FUZZ, NATIVE, SIMDJSON, core_sources, write_seeds

COMPILER = "aarch64-linux-gnu-g++"
EMULATOR = "qemu-aarch64"
TARGETS = ["columns", "envelope", "events", "latin1", "time"]
CODECS = {"columns", "compress", "crc32", "decoder", "decompress", "gzip", "session_block", "unpack"}
"""Sources that need a codec's library. They are compiled, but not linked: there is no library for aarch64."""
HEADERS = ["libdeflate.h", "lz4.h", "zstd.h", "zstd_errors.h"]


def compile_all(folder: Path) -> dict[str, Path]:
    """Compile every source of the core for aarch64. Return name → object file."""
    headers = folder / "include"
    headers.mkdir(parents=True, exist_ok=True)
    for header in HEADERS:  # these are the same on every machine; the rest of /usr/include is not
        shutil.copy(Path("/usr/include", header), headers)
    flags = ["-std=c++17", "-O2", "-Wall", f"-I{NATIVE}", f"-I{SIMDJSON}", f"-I{headers}"]
    objects = {}
    for source in [*core_sources(), *(FUZZ / f"{name}.cc" for name in [*TARGETS, "replay"])]:
        name = f"fuzz_{source.stem}" if source.parent == FUZZ else source.stem
        objects[name] = folder / f"{name}.o"
        subprocess.run([COMPILER, *flags, "-c", str(source), "-o", str(objects[name])], check=True)
    return objects


def main() -> None:
    """Compile everything, and run the targets that can run."""
    for program in (COMPILER, EMULATOR):
        if not shutil.which(program):
            sys.exit(f"aarch64: no {program}. Debian: apt-get install g++-aarch64-linux-gnu qemu-user")
    folder = BUILD / "aarch64"
    objects = compile_all(folder)
    click.echo(f"aarch64: {len(objects)} sources compiled")
    write_seeds()
    core = [str(made) for name, made in objects.items() if name not in CODECS and not name.startswith("fuzz_")]
    for target in TARGETS:
        program = folder / target
        parts = [str(objects[f"fuzz_{target}"]), str(objects["fuzz_replay"]), *core]
        subprocess.run([COMPILER, "-static", *parts, "-o", str(program)], check=True)
        inputs = [str(path) for kind in ("seeds", "corpus") for path in sorted((BUILD / kind / target).glob("*"))]
        done = subprocess.run([EMULATOR, str(program), *inputs], capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"aarch64: {target} failed:\n{done.stdout}{done.stderr}")
        click.echo(f"aarch64: {target}: {done.stdout.strip()}, nothing found")


if __name__ == "__main__":
    main()
