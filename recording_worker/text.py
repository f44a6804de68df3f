"""Text for people: safe on a terminal, and with counted nouns."""


def printable(text: str) -> str:
    """Escape what is not printable, so that text from outside is safe on a terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 block`, `2 blocks`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
