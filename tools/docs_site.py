"""A hook of mkdocs: put the files outside of docs/ that pages link to on the site, and lead the links there.

Pages link as people read them in the repository: `../CONTRIBUTING.md`. On the site such a file stands under
`repository/`. mkdocs then checks the links and their anchors. Long names in tables
may break after underscores and dots.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
_DOCS, _OUTSIDE = "docs/", "repository/"
_LINK = re.compile(r"(\]\()([^)\s#:]+)(#[^)\s]*)?(?=\))")
_CODE = re.compile(r"(?<=<code>)[^<]+(?=</code>)")
_JOINT = re.compile(r"(?<=[_.])(?=\w)")
_CELL = re.compile(r"<td>.*?</td>", re.DOTALL)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what the pages link to, and what that links to."""
    waiting = [file.src_uri for file in files.documentation_pages()]
    while waiting:
        page = waiting.pop()
        for target in _targets(page):
            place = _place(target)
            if not target.startswith(_DOCS) and files.get_file_from_path(place) is None and (ROOT / target).is_file():
                files.append(File.generated(config, place, abs_src_path=str(ROOT / target)))
                if target.endswith(".md"):
                    waiting.append(place)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 mkdocs gives them
    """Lead the links to their places on the site."""
    here = page.file.src_uri

    def placed(link: re.Match[str]) -> str:
        place = posixpath.relpath(_place(_target(here, link[2])), posixpath.dirname(here) or ".")
        return f"{link[1]}{place}{link[3] or ''}"

    return _LINK.sub(placed, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 mkdocs gives them
    """Let names in tables break after underscores and dots: some are as wide as a phone."""
    return _CELL.sub(lambda cell: _CODE.sub(lambda code: _JOINT.sub("<wbr>", code[0]), cell[0]), html)


def _targets(page: str) -> Iterator[str]:
    for link in _LINK.finditer((ROOT / _source(page)).read_text()):
        yield _target(page, link[2])


def _target(page: str, link: str) -> str:
    """Return the file in the repository that a link on this page of the site means."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(_source(page)), link))


def _source(place: str) -> str:
    """Return where in the repository a file of the site is."""
    return place.removeprefix(_OUTSIDE) if place.startswith(_OUTSIDE) else _DOCS + place


def _place(source: str) -> str:
    """Return where on the site a file of the repository is."""
    return source.removeprefix(_DOCS) if source.startswith(_DOCS) else _OUTSIDE + source
