"""Works out what the user did: clicks and the elements they met, inputs, custom events; and which clicks went wrong.

posthog-js has the same thresholds: rage clicks in packages/browser/src/extensions/rageclick.ts, dead clicks in
packages/browser/src/extensions/dead-clicks-autocapture.ts.
"""

import json
from dataclasses import asdict, dataclass
from math import hypot
from typing import Any

from recording_worker.formats.rrweb import Event, EventType, Interaction, Source, data_of, is_click, source_of, type_of
from recording_worker.playing.elements import FIELDS, MAX_NODES, Elements

RAGE_CLICKS = 3
RAGE_MS = 1_000
RAGE_PIXELS = 30
DEAD_MS = 2_500
_MAX_TEXT = 200
_MAX_PAYLOAD = 2_000
_SETTINGS = frozenset(
    {
        "$json_ld",
        "$posthog_config",
        "$remote_config_received",
        "$session_options",
        "$url_changed",
        "$pageview",
        "keyboard",
    }
)
"""Custom events that say how the client is set up, or which page is shown, which the page's address says."""
_ANSWERS = frozenset({Source.MUTATION, Source.SCROLL, Source.INPUT, Source.MEDIA, Source.CANVAS})
"""Incremental events that can be the answer to a click."""
_SILENT = FIELDS | {"", "html", "body", "label", "option", "video", "audio", "canvas", "iframe"}
"""Elements on which a click may change nothing that is recorded."""
_CLICKS = {
    Interaction.CONTEXT_MENU: "Right click",
    Interaction.DOUBLE_CLICK: "Double click",
    Interaction.TOUCH_END: "Tap",
}


@dataclass(slots=True)
class Step:
    """Something that the user did, or that happened."""

    at: float
    """In milliseconds since 1970."""
    kind: str
    """click, input or event."""
    text: str
    window: int
    """The number of the window, from 0."""
    rage: bool = False
    """It is one of three clicks within a second, close to each other."""
    dead: bool = False
    """It is a click that nothing answered."""
    more: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class WindowSteps:
    """Finds the steps in the events of one window. `room` is shared by all windows, see Elements."""

    def __init__(self, window: int, room: list[int]) -> None:
        self._window = window
        self._elements = Elements(room)
        self._clicks: list[tuple[Step, float, float]] = []
        """The last clicks, with their places."""
        self._open: list[Step] = []
        """Clicks that nothing has answered yet."""
        self._field: tuple[object, Step] | None = None
        """The field in which the user types, and its step."""

    def add(self, event: Event, at: float) -> Step | None:
        """Take the window's next event. Return the step that it begins; None if it begins no step."""
        self._judge(event, at)
        step = self._step(event, at)
        self._elements.see(event)
        return step

    def _judge(self, event: Event, at: float) -> None:
        late = [click for click in self._open if at - click.at > DEAD_MS]
        for click in late:
            click.dead = True
        answers = source_of(event) in _ANSWERS or type_of(event) in (
            EventType.FULL_SNAPSHOT,
            EventType.META,
            EventType.PLUGIN,
            EventType.CUSTOM,
        )
        self._open = [] if answers else [click for click in self._open if not click.dead]

    def _step(self, event: Event, at: float) -> Step | None:
        data = data_of(event)
        if is_click(event):
            self._field = None
            return self._click(data, at)
        if source_of(event) == Source.INPUT:
            return self._input(data, at)
        tag = data.get("tag")
        if type_of(event) == EventType.CUSTOM and isinstance(tag, str) and tag not in _SETTINGS:
            payload = data.get("payload")
            more = "" if payload in (None, {}, []) else json.dumps(payload, indent=2, ensure_ascii=True)[:_MAX_PAYLOAD]
            return Step(at, "event", _plain(tag), self._window, more=more)
        return None

    def _click(self, data: dict[str, Any], at: float) -> Step:
        number = data.get("id")
        what = _CLICKS.get(data["type"], "Click")
        step = Step(at, "click", _plain(f"{what} on {self._elements.name(number)}"), self._window)
        if data["type"] == Interaction.CLICK:
            if self._elements.tag(number) not in _SILENT:
                self._open.append(step)
            x, y = data.get("x"), data.get("y")
            if isinstance(x, int | float) and isinstance(y, int | float) and abs(x) + abs(y) < 1e6:
                self._note_rage(step, float(x), float(y))
        return step

    def _note_rage(self, step: Step, x: float, y: float) -> None:
        if self._clicks:
            last, last_x, last_y = self._clicks[-1]
            if step.at - last.at > RAGE_MS or hypot(x - last_x, y - last_y) > RAGE_PIXELS:
                self._clicks.clear()
        self._clicks = [one for one in self._clicks if step.at - one[0].at <= RAGE_MS]
        self._clicks.append((step, x, y))
        if len(self._clicks) >= RAGE_CLICKS:
            for clicked, _, _ in self._clicks:
                clicked.rage = True

    def _input(self, data: dict[str, Any], at: float) -> Step | None:
        """Take what a field holds now, as it was recorded: masked stays masked."""
        number, text, checked = data.get("id"), data.get("text"), data.get("isChecked")
        name = self._elements.name(number)
        if self._elements.is_box(number):
            said = f"{'Checked' if checked is True else 'Unchecked'} {name}"
        elif isinstance(text, str) and text:
            said = f"Input in {name}: {text}"
        else:
            said = f"Emptied {name}"
        said = _plain(said)
        if self._field and self._field[0] == number:
            self._field[1].text = said
            return None
        step = Step(at, "input", said, self._window)
        self._field = (number, step)
        return step


def _plain(text: str) -> str:
    """Return the text cut, with U+FFFD for each unpaired surrogate."""
    return text[:_MAX_TEXT].encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def shared_room() -> list[int]:
    """Return the room that all windows of a recording share."""
    return [MAX_NODES]
