"""Keeps secrets out of what people and other programs see. A process names its secrets once: `hide`."""

import json
from collections.abc import Iterable

MASK = "***"

_SHORTEST = 4
"""Characters. Shorter texts stand in too many places to be taken out of everything."""

_hidden: set[str] = set()


def hide(secrets: Iterable[str]) -> None:
    """Let `redact` take these texts out from now on, also where JSON or Python escapes them."""
    for secret in secrets:
        forms = {secret, json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
        _hidden.update(form for form in forms if len(form) >= _SHORTEST)


def redact(text: str) -> str:
    """Return the text with a mask in place of each hidden secret: errors of libraries may contain what they got."""
    for secret in sorted(_hidden, key=len, reverse=True):
        text = text.replace(secret, MASK)
    return text
