"""Turns what a mobile app records into events that rrweb's player can show.

PostHog's mobile SDKs (Android, iOS, React Native, Flutter) record wireframes: a tree of boxes with places on the
screen, or one screenshot. A full snapshot has `data.wireframes`. A mutation has `data.adds[].wireframe`,
`data.updates[].wireframe` and `data.removes[].id`. What they mean, and what happens to touches and to the keyboard:
PostHog/posthog, common/replay-shared/src/mobile/transformer/transformers.ts. Android diffs its wireframes as in
PostHog/posthog-android, posthog/src/main/java/com/posthog/internal/replay/RRWireframeDiffer.kt.
"""

from collections import Counter
from itertools import count
from typing import Any

from recording_worker.formats.rrweb import Event, EventType, NodeType, Source, data_of, source_of, type_of
from recording_worker.playing.boxes import Box, Content, Gap, Missing, Wireframe, box_of, extent, keyboard_box

Node = dict[str, Any]
"""A node as rrweb writes it."""

MAX_PARTS = 10_000
"""The most wireframes on a screen, and in one event."""
MAX_DEPTH = 100
"""How deep wireframes may be inside each other."""

_DOCUMENT, _DOCTYPE, _HTML, _HEAD, _STYLE, _STYLE_TEXT, _BODY, _APP, _KEYBOARD, _FIRST_FREE = range(1, 11)
_PAGE_STYLE = """
html, body { margin: 0; width: 100vw; height: 100vh; overflow: hidden; background: #ffffff; }
body { font: 14px sans-serif; color: #000000; }
* { box-sizing: border-box; }
"""


def has_wireframes(event: Event) -> bool:
    """Return whether the event is a full snapshot of a mobile app's screen."""
    data = data_of(event)
    is_page = isinstance(data.get("node"), dict)
    return type_of(event) == EventType.FULL_SNAPSHOT and not is_page and isinstance(data.get("wireframes"), list)


class _Part:
    """A wireframe on the screen, and the node that shows it."""

    __slots__ = ("content", "depth", "name", "number", "parent", "parts")

    def __init__(self, number: int, parent: "_Part | None" = None, name: float | None = None) -> None:
        self.number = number
        self.parent = parent
        self.name = name
        """The wireframe's id; None if it has none."""
        self.depth: int = parent.depth + 1 if parent else 0
        self.content: list[int] = []
        """The numbers of the nodes in it that belong to no other part."""
        self.parts: dict[_Part, None] = {}
        """The parts inside it, in order."""

    def is_within(self, other: "_Part") -> bool:
        part: _Part | None = self
        while part is not None and part is not other:
            part = part.parent
        return part is other


class Screen:
    """What a mobile app shows in one window, from event to event."""

    def __init__(self, missing: Counter[Gap]) -> None:
        self._missing = missing
        """Counts what can't be shown."""
        self.changed = 0
        """How many wireframes the last event put on the screen."""
        self._clear()

    def as_rrweb(self, event: Event) -> Event:
        """Return the window's next event as one of a page. Before the first full snapshot the screen is empty."""
        self._begin_event()
        data, kind = data_of(event), type_of(event)
        if has_wireframes(event):
            kind, data = EventType.FULL_SNAPSHOT, self._snapshot(data["wireframes"])
        elif source_of(event) == Source.MUTATION:
            data = self._mutation(data)
        elif kind == EventType.INCREMENTAL:
            data = self._pointed(data)
        elif kind == EventType.CUSTOM and data.get("tag") == "keyboard":
            kind, data = EventType.INCREMENTAL, self._typing(data.get("payload"))
        else:
            return event
        self._boxes.clear()  # they may hold images
        return {"type": kind, "timestamp": event["timestamp"], "data": data}

    # -- events

    def _snapshot(self, wireframes: list[object]) -> Wireframe:
        self._clear()
        self._first_in_tree = self._first_new
        for wireframe in wireframes:
            self._put(wireframe, self._app)
        reach = [extent(wireframe) for wireframe in wireframes if isinstance(wireframe, dict)]
        self.size = (max((right for right, _ in reach), default=0.0), max((down for _, down in reach), default=0.0))
        return {"node": self._page(), "initialOffset": {"top": 0, "left": 0}}

    def _mutation(self, data: Wireframe) -> Wireframe:
        for removed in _list(data, "removes"):
            part = self._part(removed.get("id")) if isinstance(removed, dict) else None
            if part is not None:
                self._remove(part)
        for change in [*_list(data, "adds"), *_list(data, "updates")]:
            wireframe = change.get("wireframe") if isinstance(change, dict) else None
            if isinstance(wireframe, dict):
                self._change(wireframe, self._part(change.get("parentId")))
            else:
                self._missing[Missing.NO_WIREFRAME, ""] += 1
        return self._changes()

    def _typing(self, payload: object) -> Wireframe:
        for part in list(self._keyboard.parts):
            self._remove(part)
        if isinstance(payload, dict) and payload.get("open") is True:
            self._place(keyboard_box(payload), self._keyboard)
        return self._changes()

    def _pointed(self, data: Wireframe) -> Wireframe:
        """Let a touch lead to a node. SDKs send the number of the finger in place of a wireframe's id."""
        pointed = self._plain(data)
        if positions := _list(data, "positions"):
            pointed["positions"] = [self._plain(place) for place in positions if isinstance(place, dict)]
        return pointed

    def _plain(self, data: Wireframe) -> Wireframe:
        plain = {key: value for key, value in data.items() if not isinstance(value, dict | list)}
        return {**plain, "id": self._node_of(plain["id"])} if "id" in plain else plain

    # -- the screen

    def _clear(self) -> None:
        self._parts: dict[float, _Part] = {}
        """The parts by their wireframes' ids."""
        self._count = 0
        """How many parts are on the screen."""
        self._numbers = count(_FIRST_FREE)
        self._app, self._keyboard = _Part(_APP), _Part(_KEYBOARD)
        self.size = (0.0, 0.0)
        """How far the wireframes of the full snapshot reach to the right and down, in pixels."""
        self._begin_event()

    def _begin_event(self) -> None:
        self.changed = 0
        self._first_new = next(self._numbers)
        self._removes: list[Node] = []
        self._boxes: dict[_Part, Box] = {}
        """The boxes of the parts that the event adds or changes. A part comes before the parts in it."""

    def _part(self, name: object) -> _Part | None:
        return self._parts.get(name) if isinstance(name, int | float) and not isinstance(name, bool) else None

    def _node_of(self, name: object) -> int:
        part = self._part(name)
        return part.number if part else _BODY

    def _is_new(self, part: _Part) -> bool:
        return part.number >= self._first_new

    def _change(self, wireframe: Wireframe, parent: _Part | None) -> None:
        """Show a wireframe and all inside it: in the place of the one with its id, or else as the parent's last.

        If an app adds or changes a wireframe, the event names each wireframe inside it again.
        """
        self._first_in_tree = next(self._numbers)
        part = self._part(wireframe.get("id"))
        if part is None:
            self._put(wireframe, parent or self._app)
        elif part in self._boxes:
            return
        elif parent is None or parent is part.parent or parent.is_within(part):
            self._put(wireframe, part.parent or self._app, part)
        else:
            self._put(wireframe, parent)

    def _put(self, wireframe: object, parent: _Part, part: _Part | None = None) -> None:
        """Show a wireframe and all inside it: in the place of a part, or else as the parent's last."""
        if not isinstance(wireframe, dict):
            self._missing[Missing.NO_WIREFRAME, ""] += 1
            return
        is_full = part is None and self._count >= MAX_PARTS
        if is_full or self.changed == MAX_PARTS or parent.depth == MAX_DEPTH:
            self._missing[Missing.OUT_OF_BOUNDS, ""] += 1
            return
        box = box_of(wireframe)
        if box.missing:
            self._missing[box.missing] += 1
        if part is None:
            part = self._place(box, parent, self._name(wireframe, parent))
        else:
            self._empty(part)
            self._boxes[part] = box
        self.changed += 1
        for inner in _list(wireframe, "childWireframes"):
            self._put(inner, part)

    def _name(self, wireframe: Wireframe, parent: _Part) -> float | None:
        """Return the id of a new wireframe; None if it has no usable one.

        The screen's part with this id goes away. If it came in the same tree, it stays, without its id.
        """
        name = wireframe.get("id")
        if not isinstance(name, int | float) or isinstance(name, bool):
            return None
        part = self._parts.get(name)
        if part is not None:
            if parent.is_within(part):
                return None
            if part.number >= self._first_in_tree:
                part.name = None
            else:
                self._remove(part)
        return name

    def _place(self, box: Box, parent: _Part, name: float | None = None) -> _Part:
        part = _Part(next(self._numbers), parent, name)
        parent.parts[part] = None
        self._boxes[part] = box
        self._count += 1
        if name is not None:
            self._parts[name] = part
        return part

    def _remove(self, part: _Part) -> None:
        assert part.parent is not None
        del part.parent.parts[part]
        if not self._is_new(part):
            self._removes.append({"parentId": part.parent.number, "id": part.number})
        self._forget(part)

    def _forget(self, part: _Part) -> None:
        self._count -= 1
        self._boxes.pop(part, None)
        if part.name is not None:
            del self._parts[part.name]
        for inner in part.parts:
            self._forget(inner)

    def _empty(self, part: _Part) -> None:
        """Take out all that is in an earlier event's part."""
        self._removes += [{"parentId": part.number, "id": number} for number in part.content]
        part.content = []
        for inner in list(part.parts):
            self._remove(inner)

    # -- rrweb's nodes

    def _page(self) -> Node:
        style = _element(_STYLE, "style", {}, [_text(_STYLE_TEXT, _PAGE_STYLE)])
        app = _element(_APP, "div", {}, [self._node(part) for part in self._app.parts])
        body = _element(_BODY, "body", {}, [app, _element(_KEYBOARD, "div", {}, [])])
        html = _element(_HTML, "html", {}, [_element(_HEAD, "head", {}, [style]), body])
        doctype = {"type": NodeType.DOCTYPE, "id": _DOCTYPE, "name": "html", "publicId": "", "systemId": ""}
        return {"type": NodeType.DOCUMENT, "id": _DOCUMENT, "childNodes": [doctype, html]}

    def _changes(self) -> Wireframe:
        """Return the event's changes as a mutation. rrweb removes nodes before it adds any."""
        adds: list[Node] = []
        attributes: list[Node] = []
        for part, box in self._boxes.items():
            if not self._is_new(part):
                attributes.append({"id": part.number, "attributes": {"style": box.style}})
                for node in self._content(part):
                    _add(node, part.number, adds)
            elif part.parent is not None and not self._is_new(part.parent):
                _add(self._node(part), part.parent.number, adds)
        return {
            "source": Source.MUTATION,
            "texts": [],
            "attributes": attributes,
            "removes": self._removes,
            "adds": adds,
        }

    def _node(self, part: _Part) -> Node:
        inside = [*self._content(part), *map(self._node, part.parts)]
        return _element(part.number, "div", {"style": self._boxes[part].style}, inside)

    def _content(self, part: _Part) -> list[Node]:
        nodes = [self._numbered(content) for content in self._boxes[part].content]
        part.content = [node["id"] for node in nodes]
        return nodes

    def _numbered(self, content: Content) -> Node:
        number = next(self._numbers)
        if isinstance(content, str):
            return _text(number, content)
        return _element(number, content.tag, content.attributes, [*map(self._numbered, content.content)])


def _add(node: Node, parent: int, adds: list[Node]) -> None:
    """Append a node and all in it to a mutation, which adds each node by itself."""
    adds.append({"parentId": parent, "nextId": None, "node": {**node, "childNodes": []}})
    for child in node.get("childNodes", ()):
        _add(child, node["id"], adds)


def _element(number: int, tag: str, attributes: dict[str, str], children: list[Node]) -> Node:
    return {
        "type": NodeType.ELEMENT,
        "id": number,
        "tagName": tag,
        "attributes": attributes,
        "childNodes": children,
    }


def _text(number: int, text: str) -> Node:
    return {"type": NodeType.TEXT, "id": number, "textContent": text}


def _list(data: Wireframe, key: str) -> list[Any]:
    value = data.get(key)
    return value if isinstance(value, list) else []
