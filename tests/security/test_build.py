"""What the built native core is hardened with, read from the library itself."""

import platform
import re
import subprocess

import pytest

from recording_worker import _native


def readelf(*options: str) -> str:
    """Return what binutils says of the library. The compiler needs them, so they are there."""
    return subprocess.check_output(["readelf", "--wide", *options, _native.__file__], text=True)


@pytest.fixture(scope="module")
def symbols() -> str:
    return readelf("--dyn-syms")


def test_what_the_loader_writes_to_is_read_only_afterwards() -> None:
    assert re.search(r"^ *GNU_RELRO ", readelf("--segments"), re.MULTILINE)
    assert re.search(r"\(FLAGS_1\).*\bNOW\b", readelf("--dynamic")), "else the table of functions stays writable"


def test_no_memory_can_be_written_and_run() -> None:
    segments = re.findall(r"^ *(LOAD|GNU_STACK) +(?:0x\S+ +){5}([RWE ]{3})", readelf("--segments"), re.MULTILINE)
    assert {kind for kind, _ in segments} == {"LOAD", "GNU_STACK"}
    assert [rights for _, rights in segments if "W" in rights and "E" in rights] == []


def test_the_stack_is_guarded(symbols: str) -> None:
    assert "__stack_chk_fail" in symbols


def test_copies_are_checked(symbols: str) -> None:
    assert "__memcpy_chk" in symbols


def test_the_standard_library_checks_its_bounds(symbols: str) -> None:
    assert "__glibcxx_assert_fail" in symbols


@pytest.mark.skipif(
    platform.machine() != "x86_64", reason="CET is x86's; aarch64's BTI needs marks in the C library too"
)
def test_jumps_and_returns_are_checked() -> None:
    assert "SHSTK" in readelf("--notes")
    code = subprocess.check_output(["objdump", "--disassemble", _native.__file__], text=True)
    assert code.count("endbr64") > 100
