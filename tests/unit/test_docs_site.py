"""`make docs`: the site holds what pages link to, and the build fails on what leads nowhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the configuration of this one and pages of its own."""
    configuration = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[0]
    nav = "nav:\n  - README.md\n  - run/page.md\n  - repository/NOTES.md\n"
    (tmp_path / "mkdocs.yml").write_text(f"{configuration}\n{nav}")
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "docs_site.py", tmp_path / "tools")
    page = "docs/run/page" + ".md"  # a test looks for pages that code names
    write(tmp_path / "NOTES.md", f"# Notes\n\n[back]({page}#a-heading), [data](deploy/data.yml)")
    write(tmp_path / "deploy" / "data.yml", "a: 1")
    write(tmp_path / "docs" / "README.md", "# Home\n\n[notes](../NOTES.md#notes)")
    write(
        tmp_path / "docs" / "run" / "page.md", "# Page\n\n## A heading\n\n[notes](../../NOTES.md), [home](../README.md)"
    )
    return tmp_path


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def build(checkout: Path) -> tuple[int, str]:
    ended = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict"],
        cwd=checkout,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stderr


def test_files_outside_of_the_docs_are_on_the_site(checkout: Path) -> None:
    assert build(checkout)[0] == 0
    site = checkout / "build" / "site"
    assert 'href="repository/NOTES.html#notes"' in (site / "index.html").read_text()
    assert 'href="../repository/NOTES.html"' in (site / "run" / "page.html").read_text()
    assert 'href="../run/page.html#a-heading"' in (site / "repository" / "NOTES.html").read_text()
    assert (site / "repository" / "deploy" / "data.yml").read_text() == "a: 1\n"


def test_names_in_tables_break_after_underscores_and_dots(checkout: Path) -> None:
    write(
        checkout / "docs" / "run" / "page.md",
        "# Page\n\n## A heading\n\n`a_b`\n\n| `c_d_e` | f_g |\n|---|---|\n| `h_i.j` | j_k |",
    )
    assert build(checkout)[0] == 0
    page = (checkout / "build" / "site" / "run" / "page.html").read_text()
    assert all(text in page for text in ("<code>a_b</code>", "<code>h_<wbr>i.<wbr>j</code>", "j_k"))


def test_what_leads_nowhere_fails_the_build(checkout: Path) -> None:
    links = ["run/page.md#no-heading", "run/no-page.md", "../NO-FILE.md", "../NOTES.md#no-heading", "#no-heading"]
    write(
        checkout / "docs" / "README.md",
        "# Home\n\n[notes](../NOTES.md)\n" + "\n".join(f"[a]({link})" for link in links),
    )
    write(checkout / "docs" / "run" / "forgotten.md", "# In no menu")
    code, said = build(checkout)
    assert code == 1
    warnings = [line for line in said.splitlines() if "'README.md' contains a link" in line]
    assert len(warnings) == len(links), said
    assert "run/forgotten.md" in said
