"""The docs name what exists, and name all of it."""

import re
import signal
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

from recording_worker import errors
from recording_worker.cli import cli
from recording_worker.lookups.restrictions.static import load_restrictions
from recording_worker.lookups.teams.static import load_teams
from recording_worker.metrics import GROUPS, families
from recording_worker.outcome import Reason
from recording_worker.settings.load import load_settings
from recording_worker.settings.model import Settings
from tools import metrics_tables, settings_tables

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")), *sorted((ROOT / "deploy").rglob("*.md"))]
FOLDERS = "recording_worker|_native|tests|benchmarks|tools|deploy|docs"
FILES = subprocess.check_output(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, text=True
).splitlines()

page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def rows(page: Path) -> dict[str, list[str]]:
    """The rows of a page's tables: the other cells, by each name in the first cell. A name's first row counts."""
    found: dict[str, list[str]] = {}
    for line in page.read_text().splitlines():
        first, *others = [cell.strip() for cell in line.split("|")[1:-1]] or [""]
        for name in re.findall(r"`(\w+)`", first):
            found.setdefault(name, others)
    return found


def test_the_tables_of_metrics_are_made_from_the_metrics() -> None:
    page = metrics_tables.PAGE.read_text()
    names = [family.name for group in GROUPS.values() for family in families(group)]
    assert [name for name in names if not re.search(rf"`{name}(_total)?`", page)] == []
    assert page == metrics_tables.written(page), f"write them again: {metrics_tables.COMMAND}"


def test_the_tables_of_settings_are_made_from_the_settings() -> None:
    page = settings_tables.PAGE.read_text()
    assert [name for name in Settings.model_fields if name not in rows(settings_tables.PAGE)] == []
    assert page == settings_tables.written(page), f"write them again: {settings_tables.COMMAND}"


def test_settings_that_the_docs_explain_exist() -> None:
    assert settings_tables.SEE.keys() <= Settings.model_fields.keys()


def test_the_page_on_moving_over_names_settings_that_exist() -> None:
    """In the second cell of the table of variables, before any explanation."""
    text = (DOCS / "run" / "migrating-from-posthog.md").read_text()
    variables = text.partition("## Settings")[2].partition("## Topics")[0]
    named = {
        name
        for line in variables.splitlines()[4:]
        for name in re.findall(r"`([a-z][a-z0-9_]+)`", line.split("|")[2] if "|" in line else "")
    }
    assert len(named) > 20
    assert named <= Settings.model_fields.keys()


def test_every_reason_is_documented() -> None:
    documented = rows(DOCS / "data" / "messages.md")
    assert [reason.label for reason in Reason if reason and reason.label not in documented] == []


def test_every_step_is_documented() -> None:
    table = (DOCS / "change" / "architecture.md").read_text().partition("| step |")[2].partition("\n\n")[0]
    documented = re.findall(r"^\| `(\w+)`", table, re.MULTILINE)
    files = {path.stem for path in (ROOT / "recording_worker" / "pipeline" / "steps").glob("[a-z]*.py")}
    assert set(documented) == files


def test_lines_of_the_log_that_the_docs_explain_are_logged() -> None:
    table = (DOCS / "operate" / "logs.md").read_text().partition("| event | level |")[2].partition("\n\n")[0]
    events = [event for row in table.splitlines() for event in re.findall(r"`([^`]+)`", row.split(" | ")[0])]
    sources = "".join(path.read_text() for path in (ROOT / "recording_worker").rglob("*.py"))
    assert len(events) > 15
    assert [event for event in events if f'"{event.rstrip(" …")}' not in sources] == []


def test_every_floor_is_described() -> None:
    layers = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]["layers"]
    modules = {name for layer in layers for name in re.findall(r"\w+", layer)} - {"__main__"}
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert {name for name in modules if f"`{name}/`" not in text and f"`{name}.py`" not in text} == set()


def test_every_exit_code_is_documented() -> None:
    text = (DOCS / "operate" / "deploying.md").read_text()
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    faults = [errors.WorkerError, errors.ConfigError, errors.BootError]
    assert documented == {0, signal.SIGALRM} | {fault.exit_code for fault in faults}


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@page
def test_links_lead_somewhere(page: Path) -> None:
    dead = []
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if link.startswith("https://"):
            continue
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


@page
def test_files_and_folders_named_exist(page: Path) -> None:
    named = re.findall(rf"(?<![\w/:.-])(?:{FOLDERS})/[\w./*-]*", page.read_text())
    assert [path for path in named if not list(ROOT.glob(path.rstrip("./")))] == []


def test_pages_that_code_names_exist() -> None:
    dead = [
        (file, named)
        for file in FILES
        if file.endswith((".py", ".pyi", ".pyx", ".hpp", ".cc", "Makefile"))
        for named in re.findall(r"\bdocs/[\w./-]+\.md", (ROOT / file).read_text())
        if not (ROOT / named).exists()
    ]
    assert dead == []


def test_every_page_is_reached_from_the_index() -> None:
    indexes = [ROOT / "README.md", DOCS / "README.md", DOCS / "decisions" / "README.md"]
    linked = {
        (index.parent / link).resolve()
        for index in indexes
        for link in re.findall(r"\]\(([^)#\s]+)", index.read_text())
    }
    assert [page for page in PAGES if page not in linked and page != indexes[0]] == []


def calls(page: Path) -> list[list[str]]:
    """The words after `recording-worker` wherever a page's code calls it."""
    text = page.read_text().replace("\\\n", " ")
    code = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL) + re.findall(r"`([^`]+)`", text)
    found = [re.findall(r"^(?:\S*/)?recording-worker +(\w[^#|\n]*)", block, re.MULTILINE) for block in code]
    return [call.split() for block in found for call in block]


def wrong_words(call: list[str]) -> list[str]:
    """The commands and flags of a call that don't exist."""
    command: click.Command = cli
    for number, word in enumerate(call):
        if isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            if found is None:
                return [word]
            command = found
        else:
            options = [flag for option in command.params for flag in (*option.opts, *option.secondary_opts)]
            return [word for word in call[number:] if word.startswith("--") and word not in [*options, "--help"]]
    return []


@page
def test_commands_and_flags_named_exist(page: Path) -> None:
    assert [(call, wrong) for call in calls(page) if (wrong := wrong_words(call))] == []


def test_calls_are_found() -> None:
    assert sum(len(calls(page)) for page in PAGES) > 50


def test_make_help_names_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[0].split()
    assert sorted(["help", *re.findall(r'^\t@echo "make ([\w-]+) ', makefile, re.MULTILINE)]) == sorted(phony)


@page
def test_configuration_shown_is_accepted(page: Path, tmp_path: Path) -> None:
    """Each ```toml block is one of settings, or a file of teams or of restrictions."""
    for block in re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL):
        (file := tmp_path / "file.toml").write_text(block)
        if "[[team]]" in block:
            assert load_teams(file)
        elif "[[restriction]]" in block:
            assert load_restrictions(file)
        else:
            assert load_settings({}, file, environ={})


SYMPTOMS = DOCS / "operate" / "troubleshooting.md"


def symptoms() -> list[str]:
    """The texts of the worker that the page on troubleshooting explains, without what differs."""
    tables = re.split(r"^\| (\w[^|]*) \|.*\n\|---.*\n", SYMPTOMS.read_text(), flags=re.MULTILINE)
    lines = "\n".join(table for head, table in zip(tables[1::2], tables[2::2], strict=True) if head != "exit code")
    cells = re.findall(r"^\| (`[^|]+) \|", lines, re.MULTILINE)
    return [
        part for cell in cells for text in re.findall(r"`([^`]+)`", cell) for part in text.split("…") if part.strip()
    ]


def seen_lines() -> list[str]:
    """The texts of the worker that the runbook says are seen, without what differs."""
    seen = re.findall(
        r"^\*\*Seen:\*\* (.*?)\n\n", (DOCS / "operate" / "runbook.md").read_text(), re.MULTILINE | re.DOTALL
    )
    texts = [" ".join(text.split()) for part in seen for text in re.findall(r"`([^`]+)`", part)]
    return [part for text in texts if " " in text for part in text.split("…") if part.strip()]


def test_symptoms_are_texts_of_the_worker() -> None:
    sources = "\n".join(path.read_text() for path in (ROOT / "recording_worker").rglob("*.py"))
    said = re.sub(r'"\n\s*f?"', "", sources)
    assert (len(symptoms()) > 50, len(seen_lines()) > 10) == (True, True)
    assert [text for text in [*symptoms(), *seen_lines()] if text not in said] == []
