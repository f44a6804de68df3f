"""Text for people: safe on a terminal, and counted nouns."""


def printable(text: str) -> str:
    """Text from outside, safe on a terminal: what is not printable is escaped."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def counted(number: int, noun: str) -> str:
    """A number and what it is of."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
