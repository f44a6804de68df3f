"""`make words` reads prose, and only prose."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "banned_words.py"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    return tmp_path


def check(checkout: Path, *paths: str) -> tuple[int, list[str]]:
    """The exit code, and file, line and words of each finding."""
    ended = subprocess.run([sys.executable, SCRIPT, *paths], cwd=checkout, capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    return ended.returncode, [line.split(" → ")[0] for line in ended.stdout.splitlines() if " → " in line]


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("a.py", "x = 1  # it is told of first\n", "a.py:1: 'told of'"),
        ("a.py", '"""Told\n    of."""\n', "a.py:1: 'Told of'"),
        ("a.py", "# the files of\n# which one is read\n", "a.py:1: 'of which'"),
        ("a.py", "def f():\n    raise E(f'{n} messages, of which {m} stay')\n", "a.py:2: 'of which'"),
        ("a.py", 'text = "neither this " "nor that"\n', "a.py:1: 'nor'"),
        ("a.pyx", "cdef int x  # anew\n", "a.pyx:1: 'anew'"),
        ("a.hpp", "int x = 1'000; char c = '\"'; // beside\n", "a.hpp:1: 'beside'"),
        ("a.cc", "/* lines\n * of which one */\n", "a.cc:2: 'of which'"),
        ("a.js", "throw new Error(`mended ${n} times`)\n", "a.js:1: 'mended'"),
        ("a.md", "# Nor here\n", "a.md:1: 'Nor'"),
        ("a.sql", "SELECT 1 -- lest it fails\n", "a.sql:1: 'lest'"),
        ("Makefile", "all:\n\t@echo whence\n", "Makefile:2: 'whence'"),
        ("tool", '"""Hence."""\n', "tool:1: 'Hence'"),
    ],
)
def test_prose_is_read(checkout: Path, name: str, text: str, found: str) -> None:
    (checkout / name).write_text(text)
    assert check(checkout) == (1, [found])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", "nor = told = of = beside(mend)\n"),
        ("a.py", "x = names['nor']  # a key\n"),
        ("a.py", "text = 'one line\\nor two'\n"),
        ("a.py", "x = value is None\n"),
        ("a.py", '"""Return whether the value is None."""\n'),
        ("a.py", "# do not write `of which` here\n"),
        ("a.py", "# the end of\nx = 1\n# which line is next?\n"),
        ("a.cc", "int nor = beside;\n"),
        ("a.md", "Not `told of`: reported.\n"),
        ("a.md", "North, ornate, amended: `of\nwhich`.\n"),
    ],
)
def test_code_and_quoted_words_are_not_read(checkout: Path, name: str, text: str) -> None:
    (checkout / name).write_text(text)
    assert check(checkout) == (0, [])


def test_paths_narrow_the_search(checkout: Path) -> None:
    for folder in ("a", "b"):
        (checkout / folder).mkdir()
        (checkout / folder / "page.md").write_text("Anew.\n")
    assert check(checkout, "b") == (1, ["b/page.md:1: 'Anew'"])
    assert check(checkout, "a", "b") == (1, ["a/page.md:1: 'Anew'", "b/page.md:1: 'Anew'"])
