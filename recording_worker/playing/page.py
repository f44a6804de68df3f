"""The page that plays a session: one HTML document, served or written to a file. And the page of a list of sessions.

A recording is hostile input. Three barriers contain it; each of them alone stops scripts:

- The page shows recorded data as text only.
- The recorded page is rebuilt in a frame that may run no scripts (`sandbox`). This frame is inside the stage, a
  `data:` document. The stage has an origin of its own, so even a script that ran there could not reach the page, its
  server or another site.
- The page and the stage have a policy that allows only their own scripts, by hash, and loads nothing from anywhere.
  The frames inside inherit both policies.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from importlib import resources
from typing import NamedTuple

from recording_worker.playing.player import NAME, VERSION, Player
from recording_worker.playing.session import Recording

_RECORDING = "<!-- recording -->"
"""Where the recording stands in the whole page."""
_PAGE_SCRIPTS = (
    "format.js",
    "list.js",
    "keys.js",
    "address.js",
    "values.js",
    "methods.js",
    "console.js",
    "network.js",
    "steps.js",
    "windows.js",
    "details.js",
    "page.js",
)
_PLACE = re.compile(r"\{\{(\w+)\}\}")


class Page(NamedTuple):
    html: str
    policy: str
    """Its Content-Security-Policy; the HTML contains it too."""


def served_page(player: Player, *, in_list: bool = False) -> Page:
    """Return the page that fetches `recording.json` and `windows/{n}.jsonl` from its server.

    With `in_list`, a link leads to the list of sessions, two folders above.
    """
    back = '<a id="back" class="quiet" href="../../">All sessions</a>' if in_list else ""
    return _page(player, connect="'self'", recording="", back=back)


def list_page() -> Page:
    """Return the page with the list of sessions. It asks its server for `found/{what}`: see SessionPages."""
    script = "".join(map(_part, ("format.js", "sessions.js")))
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; connect-src 'self';"
        f" script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    style = _part("base.css") + _part("sessions.css")
    return Page(_fill(_part("sessions.html"), policy=policy, style=style, script=script), policy)


def whole_page(player: Player, recording: Recording) -> Iterator[str]:
    """Yield the page with the recording in it, in pieces. It needs no server and no network."""
    before, after = _page(player, connect="'none'", recording=_RECORDING).html.split(_RECORDING)
    yield before
    yield f'<script type="application/json" id="recording">{recording.as_json()}</script>\n'
    for number, window in enumerate(recording.windows):
        yield f'<script type="application/x-ndjson" id="window-{number}">'
        for at, line in enumerate(window.lines):
            yield ("\n" if at else "") + in_html(line.decode(errors="replace"))
        yield "</script>\n"
    yield after


def in_html(lines: str) -> str:
    """Escape JSON lines for a script element: nothing in them ends the element, and no line is broken in two.

    In JSON, `<` can only be in a string, and a carriage return only between tokens.
    """
    return lines.replace("<", "\\u003c").replace("\r", " ")


def _page(player: Player, connect: str, recording: str, back: str = "") -> Page:
    script = "".join(map(_part, _PAGE_SCRIPTS))
    stage_script = "".join(map(_part, ("allowed.js", "canvases.js", "stage.js")))
    # The stage inherits the page's policy, so the page's policy must allow what the stage needs.
    scripts = f"script-src {_hash(script)} {_hash(player.script)} {_hash(stage_script)}"
    common = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; media-src data:"
    closed = "base-uri 'none'; form-action 'none'"
    policy = f"{common}; {scripts}; frame-src data:; connect-src {connect}; {closed}"
    stage = _fill(
        _part("stage.html"),
        policy=f"{common}; {scripts}; {closed}",
        player_style=player.style,
        style=_part("stage.css"),
        player_script=player.script,
        script=stage_script,
    )
    html = _fill(
        _part("page.html"),
        policy=policy,
        player=f"{NAME} {VERSION} (https://github.com/rrweb-io/rrweb, MIT License)",
        style=_part("base.css") + _part("page.css"),
        stage=f"data:text/html;charset=utf-8;base64,{base64.b64encode(stage.encode()).decode()}",
        back=back,
        recording=recording,
        script=script,
    )
    return Page(html, policy)


def _fill(template: str, **parts: str) -> str:
    """Replace each `{{name}}` of the template, in one pass, so that inserted text is not searched again."""
    return _PLACE.sub(lambda place: parts[place[1]], template)


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@cache
def _part(name: str) -> str:
    return resources.files("recording_worker.playing").joinpath("assets", name).read_text(encoding="utf-8")
