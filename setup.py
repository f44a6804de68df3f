"""Build the native core. RECORDING_WORKER_BUILD chooses how: release, profile, debug, sanitize or hooks.

- release (default): optimised, for any machine of the architecture; simdjson chooses its loops at run time.
- profile: release with debug symbols, for perf and callgrind.
- debug: little optimised, with symbols and the standard library's assertions.
- sanitize: debug with AddressSanitizer and UndefinedBehaviorSanitizer. Python must run with libasan preloaded.
- hooks: release, but certain messages make it crash or hang (`_native/test_hooks.hpp`), for tests.

build/objects keeps what was compiled. Only sources that changed are compiled again, or all if a header changed.

RECORDING_WORKER_STATIC may name a folder with static archives of the codecs, and their headers in its `include`. The
core then holds the codecs, and needs no library but the compiler's and libc. Without it, shared ones are used.
"""

import importlib.util
import os
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.modified import newer_group

KINDS = ("release", "profile", "debug", "sanitize", "hooks")
FLAGS = {
    "release": ["-O3", "-g0", "-DNDEBUG"],
    "profile": ["-O3", "-g", "-DNDEBUG"],
    "debug": ["-Og", "-g", "-UNDEBUG"],
    "sanitize": ["-O1", "-g1", "-UNDEBUG", "-D_GLIBCXX_ASSERTIONS", "-fno-sanitize-recover=all"],
}
SANITIZERS = ["-fsanitize=address,undefined"]
# With sanitizers, simdjson takes the compiler longer than all else: of its loops for x86, only those for AVX2.
FEWER_LOOPS = [("SIMDJSON_IMPLEMENTATION_WESTMERE", "0"), ("SIMDJSON_IMPLEMENTATION_ICELAKE", "0")]
HOOKS = ["-DRECORDING_WORKER_TEST_HOOKS"]
COMMON = ["-std=c++17", "-fno-omit-frame-pointer", "-fvisibility=hidden", "-Wall"]
# These make a bug in the core harder to use. The build with sanitizers has its own checks instead.
HARDENED = [
    *("-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=3", "-D_GLIBCXX_ASSERTIONS"),
    *("-U_LIBCPP_HARDENING_MODE", "-D_LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_FAST"),
    *("-fstack-protector-strong", "-fstack-clash-protection"),
]
HARDENED_LINK = ["-Wl,-z,relro", "-Wl,-z,now", "-Wl,-z,noexecstack"]
# Checks of jumps and returns by the processor: CET, and BTI with PAC. Debian's crti.o has no mark for shadow stacks,
# and would take the library's away.
BRANCHES = {"x86_64": ["-fcf-protection=full"], "aarch64": ["-mbranch-protection=standard"]}
BRANCHES_LINK = {"x86_64": ["-Wl,-z,shstk"]}

OBJECTS = Path("build", "objects")

PYTHON = "0x030B0000"
"""The oldest Python, 3.11. The library uses only its stable interface, so it runs on that and on all later ones."""

FOLDERS = ["_native", "_native/simd", "_native/text"]
LIBRARIES = ["deflate", "lz4", "zstd"]
HEADERS = ["libdeflate.h", "lz4.h", "zstd.h", "zdict.h"]
PACKAGES = {
    "libdeflate.h": ("libdeflate-dev", "libdeflate-devel", "libdeflate"),
    "lz4.h": ("liblz4-dev", "lz4-devel", "lz4"),
    "zstd.h": ("libzstd-dev", "libzstd-devel", "zstd"),
    "zdict.h": ("libzstd-dev", "libzstd-devel", "zstd"),
}


def simdjson_sources() -> str:
    """Return the folder with simdjson.h and simdjson.cpp, which the pysimdjson wheel contains."""
    spec = importlib.util.find_spec("simdjson")
    for folder in spec.submodule_search_locations or [] if spec else []:
        if Path(folder, "simdjson.h").exists() and Path(folder, "simdjson.cpp").exists():
            return folder
    sys.exit("setup.py: simdjson's sources are missing. They come with pysimdjson: pip install 'pysimdjson>=7.0.2,<8'")


class BuildNative(build_ext):
    """Builds the core. Names missing system packages before the compiler fails."""

    def build_extensions(self) -> None:
        missing = [header for header in HEADERS if not self.has_header(header)]
        if missing:
            debian, fedora, brew = (" ".join(PACKAGES[header][i] for header in missing) for i in range(3))
            sys.exit(
                f"setup.py: the compiler does not find {', '.join(missing)}. Install what is missing:\n"
                f"  Debian, Ubuntu:  apt-get install {debian}\n"
                f"  Fedora, RHEL:    dnf install {fedora}\n"
                f"  macOS:           brew install {brew}"
            )
        for flags in BRANCHES_LINK.values():
            if not self.links_with(flags):  # zig's linker can't set this mark
                (native,) = self.extensions
                native.extra_link_args = [flag for flag in native.extra_link_args if flag not in flags]
        super().build_extensions()

    def build_extension(self, ext: Extension) -> None:
        """Compile as many sources at a time as there are cores, and link them, unless the library is up to date."""
        inputs = [*ext.sources, *ext.depends]
        library = Path(self.get_ext_fullpath(ext.name))
        for folder in (library.parent, Path("recording_worker")):
            for old in folder.glob("_native.cpython-*.so"):
                old.unlink()  # of a build for one Python only, which that Python would prefer
        if not self.force and not newer_group(inputs, str(library), "newer"):
            return
        kind = build_kind()

        def compile_one(source: str) -> str:
            """Return the object file of a source, compiled if it is not up to date."""
            hooked = kind == "hooks" and "test_hooks.hpp" in Path(source).read_text(encoding="utf-8")
            folder = OBJECTS / ("release" if kind == "hooks" and not hooked else kind)
            kept = folder / f"{source}.{sys.implementation.cache_tag}.o"
            if self.force or newer_group([source, *ext.depends], str(kept), "newer"):
                [made] = self.compiler.compile(
                    [source],
                    output_dir=str(OBJECTS / "unfinished" / kind),
                    macros=ext.define_macros,
                    include_dirs=ext.include_dirs,
                    extra_postargs=[*ext.extra_compile_args, *(HOOKS if hooked else [])],
                    depends=ext.depends,
                )
                kept.parent.mkdir(parents=True, exist_ok=True)
                Path(made).replace(kept)
            return str(kept)

        with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1) as pool:
            compiled = list(pool.map(compile_one, ext.sources))
        ext.extra_objects = compiled + ext.extra_objects  # archives come after what needs them
        ext.sources, ext.depends = [], inputs
        super().build_extension(ext)

    def has_header(self, header: str) -> bool:
        """Return whether the compiler finds a header."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(f"#include <stddef.h>\n#include <{header}>\n")
            try:
                folders = [*self.include_dirs, *self.extensions[0].include_dirs]
                self.compiler.compile([str(source)], output_dir=folder, include_dirs=folders)
            except Exception:  # noqa: BLE001 - distutils has one exception per compiler
                return False
            return True

    def links_with(self, flags: list[str]) -> bool:
        """Return whether the linker takes these flags."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text("int probe;\n")
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder)
                self.compiler.link_shared_object(objects, f"{folder}/probe.so", extra_postargs=flags)
            except Exception:  # noqa: BLE001 - distutils has one exception per compiler
                return False
            return True


def build_kind() -> str:
    """Return what RECORDING_WORKER_BUILD says."""
    kind = os.environ.get("RECORDING_WORKER_BUILD", "release")
    if kind not in KINDS:
        sys.exit(f"setup.py: RECORDING_WORKER_BUILD is {kind!r}; it may be {', '.join(KINDS)}")
    return kind


def native_files(pattern: str) -> list[str]:
    """Return the core's own files that match. The files of _native/fuzz do not belong to it."""
    return sorted(str(path) for folder in FOLDERS for path in Path(folder).glob(pattern))


def extension() -> Extension:
    """Return the native core as an extension, built as RECORDING_WORKER_BUILD says."""
    kind = build_kind()
    if kind == "sanitize":
        compile_flags, link_flags = SANITIZERS, SANITIZERS
    else:
        machine = sysconfig.get_platform().removeprefix("linux-")  # of the machine that it is built for
        compile_flags = [*HARDENED, *BRANCHES.get(machine, [])]
        link_flags = [*HARDENED_LINK, *BRANCHES_LINK.get(machine, [])]
    archives = os.environ.get("RECORDING_WORKER_STATIC")
    return Extension(
        "recording_worker._native",
        ["_native/bindings.pyx"],
        include_dirs=["_native", simdjson_sources(), *([f"{archives}/include"] if archives else [])],
        define_macros=[("Py_LIMITED_API", PYTHON), *(FEWER_LOOPS if kind == "sanitize" else [])],
        py_limited_api=True,
        libraries=[] if archives else LIBRARIES,
        extra_objects=[f"{archives}/lib{name}.a" for name in LIBRARIES] if archives else [],
        extra_compile_args=[*COMMON, *FLAGS["release" if kind == "hooks" else kind], *compile_flags],
        extra_link_args=link_flags,
        language="c++",
    )


def extensions() -> list[Extension]:
    """Return the extension with its .pyx translated into build/, so that _native/ holds only sources."""
    from Cython.Build import cythonize

    (native,) = cythonize([extension()], build_dir="build/cython", include_path=["_native"], language_level=3)
    for copied in Path("build", "cython").rglob("*.hpp"):
        copied.unlink(missing_ok=True)  # clang would take a header and Cython's copy of it for two
    # Only now: otherwise Cython would copy them into build/ too.
    native.sources += native_files("*.cc")
    native.depends = [*native_files("*.hpp"), "setup.py"]
    return [native]


setup(
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildNative},
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
)
