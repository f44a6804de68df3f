"""Change the code in small ways, and see whether the tests notice: `python -m tests.mutants.run --help`.

`targets.toml` lists the modules and, for each, the tests that must notice. A mutant is one change: a comparison turned
round, a bound moved by one, a statement left out. It counts as noticed if a test fails or does not come to an end.
Prints a table and every mutant that nobody noticed. Exits with 1 if fewer than 90 % are noticed; mutants that the file
lists as equivalent, with the reason, don't count.
"""

import argparse
import ast
import importlib
import importlib.abc
import importlib.util
import multiprocessing
import multiprocessing.connection
import os
import random
import re
import subprocess
import sys
import time
import tomllib
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from itertools import accumulate, chain
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import TypeVar

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("targets.toml")
GOAL = 0.9
TIMEOUT = 120.0
"""Seconds. A mutant that takes longer has made a loop endless."""

SWAPS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.FloorDiv: ("//", "*"),
    ast.Div: ("/", "*"),
    ast.Mod: ("%", "+"),
    ast.And: ("and", "or"),
    ast.Or: ("or", "and"),
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any"}


Work = TypeVar("Work")


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    path: str
    """The module, relative to the repository."""
    line: int
    start: int
    """The bytes of the source from `start` up to, not including, `end` are replaced."""
    end: int
    replacement: str
    key: str
    """The change in words. It holds the line's text and not its number, so that it survives edits elsewhere."""

    def source(self) -> bytes:
        """Return the module's source with the change made."""
        source = (ROOT / self.path).read_bytes()
        return source[: self.start] + self.replacement.encode() + source[self.end :]


class Module:
    """A module's source, and every change of it."""

    def __init__(self, path: str, source: bytes) -> None:
        self._path = path
        self._source = source
        self._lines = source.splitlines(keepends=True)
        self._starts = [0, *accumulate(map(len, self._lines))]

    def mutants(self) -> Iterator[Mutant]:
        """Give every change, in the order of the code. Leaves out what does not compile."""
        for node in _code(ast.parse(self._source)):
            for mutant in self._changes(node):
                with suppress(SyntaxError):
                    compile(mutant.source(), self._path, "exec")
                    yield mutant

    def _changes(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Compare(left, [operator], [right]):
                yield from self._swapped(left, right, operator)
            case ast.BinOp(left, operator, right) | ast.BoolOp(operator, [left, right, *_]):
                yield from self._swapped(left, right, operator)
            case ast.UnaryOp(ast.Not(), operand):
                yield self._mutant(node.lineno, self._span(node)[0], self._span(operand)[0], "")
            case ast.Constant(bool() as value):
                yield self._replaced(node, str(not value))
            case ast.Constant(int() | float() as value):
                yield self._replaced(node, str(value + 1))
            case ast.Call(ast.Name(name) as function) if name in NAMES:
                yield self._replaced(function, NAMES[name])
            case ast.If(test):
                yield self._replaced(test, f"not ({self._text(*self._span(test))})")
            case ast.AugAssign(target, ast.Add() | ast.Sub() as operator, value):
                yield from self._swapped(target, value, operator)
                yield self._replaced(node, "pass")
            case ast.Expr(ast.Call()) | ast.Raise() | ast.AugAssign() | ast.Delete():
                if not _is_log(node):
                    yield self._replaced(node, "pass")
            case ast.Continue():
                yield self._replaced(node, "break")
            case ast.Break():
                yield self._replaced(node, "continue")

    def _swapped(self, left: ast.expr, right: ast.expr, operator: ast.AST) -> Iterator[Mutant]:
        """Change the operator between two operands."""
        if type(operator) not in SWAPS:
            return
        before, after = SWAPS[type(operator)]
        start, end = self._span(left)[1], self._span(right)[0]
        found = re.search(rf"(?<!\w){re.escape(before)}(?!\w)", self._text(start, end))
        if found is not None:
            yield self._mutant(right.lineno, start + found.start(), start + found.end(), after)

    def _replaced(self, node: ast.expr | ast.stmt, replacement: str) -> Mutant:
        return self._mutant(node.lineno, *self._span(node), replacement)

    def _mutant(self, line: int, start: int, end: int, replacement: str) -> Mutant:
        text, removed = self._lines[line - 1].decode().strip(), self._text(start, end).partition("\n")[0].strip()
        return Mutant(self._path, line, start, end, replacement, f"{text}: {removed!r} -> {replacement!r}")

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.lineno - 1] + node.col_offset, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _text(self, start: int, end: int) -> str:
        return self._source[start:end].decode()


def _is_log(node: ast.stmt) -> bool:
    """Whether a statement writes to the log: no test holds the words of the log."""
    call = node.value if isinstance(node, ast.Expr) else None
    function = call.func if isinstance(call, ast.Call) else None
    return isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "log"


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """Walk through what runs: no annotations, decorators or assertions."""
    for name, field in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list"):
            continue
        for child in field if isinstance(field, list) else [field]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.Assert):
                yield child
                yield from _code(child)


class _Import(importlib.abc.MetaPathFinder, importlib.abc.InspectLoader):
    """Imports one module as a mutant has it."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = mutant.path.removesuffix(".py").replace("/", ".")
        self._path = mutant.path
        self._source = mutant.source().decode()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002 - the import system gives it
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        return importlib.util.spec_from_loader(fullname, self, origin=self._path)

    def get_source(self, fullname: str) -> str:  # noqa: ARG002
        return self._source


def _preload(tests: list[str]) -> None:
    """Import the libraries that the tests need, so that the processes forked from here don't have to.

    The project's own modules stay out: a mutant must be imported by the process that tries it.
    """
    listing = "import sys, pytest; pytest.main(['-qq', '--collect-only', *sys.argv[1:]]); print(*sys.modules)"
    command = [sys.executable, "-c", listing, *tests]
    names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1].split()
    for name in names:
        if name.partition(".")[0] not in ("recording_worker", "tests", "benchmarks", "__main__", "_pytest", "conftest"):
            with suppress(ImportError):
                importlib.import_module(name)


def _run_tests(tests: list[str], mutant: Mutant | None) -> None:
    """The main function of a process: exits with 0 if all tests pass."""
    import pytest

    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    if mutant is not None:
        sys.meta_path.insert(0, _Import(mutant))
    # plugins were imported before pytest could rewrite their assertions
    warnings = ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=", *warnings]
    os._exit(int(pytest.main([*options, *tests])))


def _failed(work: Sequence[tuple[Work, Mutant | None, list[str]]], jobs: int) -> Iterator[tuple[Work, bool]]:
    """Run tests on each mutant, or on the code as it is, `jobs` at a time. Give whether one failed."""
    context = multiprocessing.get_context("fork")
    running: dict[int, tuple[BaseProcess, Work, float]] = {}
    waiting = deque(work)
    while waiting or running:
        while waiting and len(running) < jobs:
            item, mutant, tests = waiting.popleft()
            process: BaseProcess = context.Process(target=_run_tests, args=(tests, mutant))
            process.start()
            running[process.sentinel] = process, item, time.monotonic() + TIMEOUT
        multiprocessing.connection.wait(running, timeout=1.0)
        for sentinel, (process, item, deadline) in list(running.items()):
            if time.monotonic() > deadline:
                process.kill()
                process.join()
            if not process.is_alive():
                process.join()
                del running[sentinel]
                yield item, process.exitcode != 0


def main() -> int:
    """Run the command. Return its exit code."""
    parser = argparse.ArgumentParser(description="Change the code in small ways, and see whether the tests notice.")
    parser.add_argument("--limit", type=int, default=400, help="how many mutants to try, chosen at random; 0: all")
    parser.add_argument("--seed", type=int, default=1, help="which ones are chosen")
    parser.add_argument("--only", default="", metavar="TEXT", help="only modules whose path contains this")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many run at a time")
    options = parser.parse_args()
    os.chdir(ROOT)
    os.environ["HYPOTHESIS_PROFILE"] = "mutants"
    config = tomllib.loads(CONFIG.read_text())
    tests = {target["module"]: target["tests"] for target in config["target"] if options.only in target["module"]}
    equivalent = {(entry.get("module"), entry["mutant"]) for entry in config["equivalent"]}

    _preload(sorted(set(chain.from_iterable(tests.values()))))
    unchanged = [(path, None, listed) for path, listed in tests.items()]
    if failing := [path for path, failed in _failed(unchanged, options.jobs) if failed]:
        print("tests fail without any change, in:", *failing, sep="\n  ")
        return 2
    mutants = [m for path in tests for m in Module(path, Path(path).read_bytes()).mutants()]
    known = {(module, m.key) for m in mutants for module in (None, m.path)}
    if not options.only and (gone := equivalent - known):
        print(
            "listed as equivalent, but there is no such mutant any more:", *(mutant for _, mutant in gone), sep="\n  "
        )
        return 2
    mutants = [m for m in mutants if equivalent.isdisjoint({(None, m.key), (m.path, m.key)})]
    chosen = mutants
    if 0 < options.limit < len(mutants):
        chosen = random.Random(options.seed).sample(mutants, options.limit)
    print(f"trying {len(chosen)} of {len(mutants)} mutants, seed {options.seed}", flush=True)
    tried, noticed = Counter[str](), Counter[str]()
    for mutant, is_noticed in _failed([(m, m, tests[m.path]) for m in chosen], options.jobs):
        tried[mutant.path] += 1
        noticed[mutant.path] += is_noticed
        if not is_noticed:
            print(f"not noticed: {mutant.path}:{mutant.line}: {mutant.key}", flush=True)
    for path in sorted(tried):
        print(f"{noticed[path]:4} of {tried[path]:4} noticed  {path}")
    share = noticed.total() / max(1, tried.total())
    print(f"{noticed.total():4} of {tried.total():4} noticed: {share:.1%} (the goal is {GOAL:.0%})")
    return 0 if share >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
