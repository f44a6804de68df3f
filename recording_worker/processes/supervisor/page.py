"""The status page: files of this package, and for browsers without scripts the same in short."""

from collections.abc import Iterable, Mapping
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from recording_worker.formats.timestamps import utc_text

_PLACE = "<!-- without scripts -->"

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'"
)
HEADERS = (
    ("Content-Security-Policy", _POLICY),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)
"""What every answer of the ops server says: the page loads nothing from elsewhere, and nobody frames it."""


@cache
def asset(name: str) -> bytes:
    """Return a file of the page, which is read once."""
    return files(__package__).joinpath("assets", name).read_bytes()


def whole_page(status: Mapping[str, Any]) -> bytes:
    """Return the page. `status`: the document of `/status.json`, for browsers without scripts."""
    before, after = asset("page.html").decode().split(_PLACE)
    return f"{before}<noscript>{_in_short(status)}</noscript>{after}".encode()


def _in_short(status: Mapping[str, Any]) -> str:
    until, seconds = status["lag"]["recorded_until"], status["lag"]["seconds"]
    facts = {
        "Behind": "unknown" if seconds is None else f"{seconds:.0f} s, {status['lag']['messages']} messages",
        "Recorded until": "nothing yet" if until is None else f"{utc_text(until * 1000)[:19]} UTC",
        "Bottleneck": f"{status['bottleneck']['who'] or 'none'}. {status['bottleneck']['why']}",
        **{each["title"]: each["text"] for each in status["dependencies"]},
    }
    return (
        f'<section class="plain"><h2>{escape(status["verdict"])}</h2>\n<ul>'
        + "".join(f"<li>{escape(reason)}</li>" for reason in status["reasons"])
        + "</ul>\n"
        + _table("", ("what", "state"), facts.items())
        + _table(
            "Workers",
            ("worker", "state", "trouble", "partitions", "lag", "restarts"),
            _columns(status["workers"], "number", "state", "trouble", "partitions", "lag_messages", "restarts"),
        )
        + _table(
            "Partitions",
            ("partition", "worker", "lag", "note"),
            _columns(status["partitions"], "number", "worker", "lag_messages", "note"),
        )
        + "</section>\n"
    )


def _columns(rows: Iterable[Mapping[str, object]], *names: str) -> Iterable[list[object]]:
    return ([row[name] for name in names] for row in rows)


def _table(caption: str, names: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in rows)
    return f"<table><caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>\n"


def _cell(value: object) -> str:
    return f"<td>{'-' if value is None else escape(str(value))}</td>"
