"""Find words that prose in this repository does without: `python tools/banned_words.py [PATH…]`.

Reads Markdown and configuration whole. In source code it reads comments, docstrings and other strings with blanks.
Skips words in backticks: these are quoted. Prints file, line, the words, and what to write instead. Exits with 1 if it
found any.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

WORDS = Path(__file__).with_suffix(".txt")
# recorded data, what is generated, the list itself, and its test
SKIPPED = re.compile(
    r"tests/data/.*\.zst|.*package-lock\.json|LICENSE|.*/general\.(?:dict|licenses\.txt)"
    r"|tools/banned_words\.txt|tests/unit/test_banned_words\.py"
)

_STRING = r"""(?<![0-9])'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*\""""
_PYTHON = re.compile(rf'''\#[^\n]*|"""(?:\\.|(?!""").)*"""|{_STRING}''', re.DOTALL)
_C = re.compile(rf"//[^\n]*|/\*.*?\*/|{_STRING}", re.DOTALL)
_JAVASCRIPT = re.compile(rf"//[^\n]*|/\*.*?\*/|{_STRING}|`(?:\\.|[^`\\])*`", re.DOTALL)
_PATTERNS = {
    **dict.fromkeys((".py", ".pyi", ".pyx", ".pxd"), _PYTHON),
    **dict.fromkeys((".cc", ".hpp", ".inl", ".css"), _C),
    ".js": _JAVASCRIPT,
}
_MARKERS = re.compile(r"^(?:#+|//+|/\*+|\"\"\"|[\"'`])|(?:\*/|\"\"\"|[\"'`])$|^[ \t]*\*(?=\s)|\\.", re.MULTILINE)
_QUOTED = re.compile(r"(?<!`)`(?!`)[^`\n]*(?:\n[^`\n]*)?`(?!`)")

_CODE = "\0"


def _overwrite(text: str, with_: str) -> str:
    """Overwrite each character except line breaks, so that what follows keeps its line and place."""
    return re.sub(r"[^\n]", with_, text)


def prose(text: str, suffix: str) -> str:
    """Return a file's text, as long as it was: NUL characters overwrite its code, blanks its comment markers."""
    pattern = _PATTERNS.get(suffix)
    if pattern is None:
        return _QUOTED.sub(lambda quoted: _overwrite(quoted[0], _CODE), text)
    pieces, end = [], 0
    for match in pattern.finditer(text):
        between = text[end : match.start()]
        # nothing but white space between two lines of a comment, or two parts of a string: a phrase may go on
        pieces.append(between if between.isspace() else _overwrite(between, _CODE))
        piece = match[0]
        if piece.startswith(("'", '"')) and not piece.startswith('"""') and not re.search(r"\s", piece):
            piece = _overwrite(piece, _CODE)
        piece = _MARKERS.sub(lambda marker: _overwrite(marker[0], " "), piece)
        pieces.append(_QUOTED.sub(lambda quoted: _overwrite(quoted[0], _CODE), piece))
        end = match.end()
    pieces.append(_overwrite(text[end:], _CODE))
    return "".join(pieces)


def read_words() -> list[tuple[re.Pattern[str], str]]:
    """Read the list: each entry is a pattern and its plainer form."""
    lines = (line for line in WORDS.read_text().splitlines() if line and not line.startswith("#"))
    entries = (re.split(r" {2,}", line, maxsplit=1) for line in lines)
    return [
        (re.compile(r"\b(?:" + word.replace(" ", r"\s+") + r")\b", re.IGNORECASE), plainer) for word, plainer in entries
    ]


def find(text: str, suffix: str, words: list[tuple[re.Pattern[str], str]]) -> Iterator[tuple[int, str, str]]:
    """Yield line, words found and plainer form, in the order of the text."""
    searched = prose(text, suffix)
    matches = [(match, plainer) for word, plainer in words for match in word.finditer(searched)]
    for match, plainer in sorted(matches, key=lambda found: found[0].start()):
        yield searched.count("\n", 0, match.start()) + 1, " ".join(match[0].split()), plainer


def main(paths: list[str]) -> int:
    """Check the files of the checkout below these paths, or all of them."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *paths],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    words, count = read_words(), 0
    for name in sorted(set(filter(None, listed.split("\0")))):
        path = Path(name)
        if SKIPPED.fullmatch(name) or not path.is_file():
            continue
        suffix = path.suffix or (".py" if path.read_bytes().startswith(b'"""') else "")
        for line, found, plainer in find(path.read_text(), suffix, words):
            print(f"{name}:{line}: {found!r} → {plainer}")
            count += 1
    if count:
        print(f"{count} words of the list in {WORDS.name}; docs/change/style.md says how to write here")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
