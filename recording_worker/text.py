"""Text for people: safe on a terminal, on one line, and with counted nouns."""


def printable(text: str) -> str:
    """Escape what is not printable, so that text from outside is safe on a terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def one_line(text: object) -> str:
    """Return a text with one space for each run of white space."""
    return " ".join(str(text).split())


def error_line(error: Exception) -> str:
    """Return what an error says as one line: its type if it says nothing."""
    return one_line(error) or repr(error)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 block`, `2 blocks`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
