"""Names the elements of recorded pages, for the list of what the user did: `button “Sign in”`."""

from collections.abc import Iterator
from typing import Any

from recording_worker.formats.rrweb import Event, EventType, NodeType, Source, data_of, source_of, type_of

MAX_NODES = 200_000
"""The most nodes that are known at a time, in all windows of a recording. Elements after them have no name."""
_MAX_NAME = 80
"""Characters."""
_MAX_DEPTH = 40
"""How far a name is looked for: up to the element that reacts, and down to its texts."""
_REACTING = {
    "a": "link",
    "button": "button",
    "label": "label",
    "select": "list",
    "summary": "summary",
    "option": "option",
}
_REACTING_ROLES = frozenset({"button", "link", "tab", "menuitem"})
FIELDS = frozenset({"input", "textarea", "select"})
_HOLDING = _REACTING.keys() - FIELDS
"""What is in one of these is called by its name."""
_BOXES = ("checkbox", "radio")
_WITHOUT_NAME = FIELDS | {"script", "style", "noscript"}
"""The texts in these name nothing around them."""
_NAMED_BY = ("aria-label", "placeholder", "alt", "title", "name")


class _Node:
    __slots__ = ("children", "names", "parent", "role", "tag", "text")

    def __init__(self, parent: int | None) -> None:
        self.parent = parent
        self.children: dict[int, None] = {}
        self.tag = self.role = self.text = ""
        self.names: dict[str, str] = {}


class Elements:
    """The elements of one window, from event to event. Their numbers are rrweb's."""

    def __init__(self, room: list[int]) -> None:
        self._room = room
        """How many more nodes may be known; shared by all windows."""
        self._nodes: dict[int, _Node] = {}

    def see(self, event: Event) -> None:
        """Learn what the window's next event says of elements."""
        data = data_of(event)
        if type_of(event) == EventType.FULL_SNAPSHOT:
            self._room[0] += len(self._nodes)
            self._nodes.clear()
            self._add(data.get("node"), None)
        elif source_of(event) == Source.MUTATION:
            for removed in _objects(data.get("removes")):
                self._remove(removed.get("id"))
            for added in _objects(data.get("adds")):
                self._add(added.get("node"), added.get("parentId"))
            for changed in _objects(data.get("texts")):
                if (node := self._node(changed.get("id"))) and isinstance(value := changed.get("value"), str):
                    node.text = value[: _MAX_NAME + 1]

    def tag(self, number: object) -> str:
        """Return the tag of an element; empty if it is not known."""
        node = self._node(number)
        return node.tag if node else ""

    def is_box(self, number: object) -> bool:
        """Return whether the element is a check box or one of several choices."""
        node = self._node(number)
        return node is not None and node.role in _BOXES

    def name(self, number: object) -> str:
        """Return what an element is called. What is in a link or a button is called by that, a field by its label."""
        node = self._node(number)
        if node is None:
            return "an element"
        reacting: _Node | None = node
        for _ in range(_MAX_DEPTH):
            if reacting is None or reacting.tag in _HOLDING or reacting.role in _REACTING_ROLES:
                break
            reacting = self._node(reacting.parent)
        named = reacting if reacting and (reacting.tag in _REACTING or reacting.role) else node
        of = node if node.tag in FIELDS else named
        kind = _REACTING.get(of.tag) or of.role or ("field" if of.tag in FIELDS else of.tag) or "text"
        text = of.names.get("aria-label") or self._text(named) or self._text(of)
        return f"{kind} “{text}”" if text else kind

    def _text(self, node: _Node) -> str:
        if label := node.names.get("aria-label"):
            return label
        if node.tag not in FIELDS and node.tag not in ("html", "body"):
            text = " ".join(" ".join(self._texts(node)).split())
            if text:
                return text if len(text) <= _MAX_NAME else f"{text[: _MAX_NAME - 1]}…"
        return next((node.names[name] for name in _NAMED_BY if node.names.get(name)), "")

    def _texts(self, node: _Node) -> Iterator[str]:
        left, length = [(node, 0)], 0
        for _ in range(1_000):  # nodes are looked at
            if not left or length > _MAX_NAME:
                return
            one, depth = left.pop()
            if one.text.strip():
                length += len(one.text)
                yield one.text
            if depth < _MAX_DEPTH and one.tag not in _WITHOUT_NAME:
                children = (self._nodes.get(child) for child in reversed(one.children))
                left += [(child, depth + 1) for child in children if child]

    def _node(self, number: object) -> _Node | None:
        return self._nodes.get(number) if isinstance(number, int) else None

    def _add(self, root: object, parent: object) -> None:
        left = [(root, parent)]
        while left:
            given, above = left.pop()
            if not isinstance(given, dict) or not isinstance(number := given.get("id"), int) or self._room[0] <= 0:
                continue
            self._remove(number)
            node = _Node(above if isinstance(above, int) else None)
            self._nodes[number] = node
            self._room[0] -= 1
            if holder := self._node(above):
                holder.children[number] = None
            self._fill(node, given)
            children = given.get("childNodes")
            left += [(child, number) for child in reversed(children if isinstance(children, list) else [])]

    @staticmethod
    def _fill(node: _Node, given: dict[str, Any]) -> None:
        if given.get("type") == NodeType.TEXT and isinstance(text := given.get("textContent"), str):
            node.text = text[: _MAX_NAME + 1]
        if not isinstance(tag := given.get("tagName"), str):
            return
        node.tag = tag[:_MAX_NAME].lower()
        attributes = given.get("attributes")
        if isinstance(attributes, dict):
            names = {name: attributes.get(name) for name in _NAMED_BY}
            node.names = {name: text[:_MAX_NAME] for name, text in names.items() if isinstance(text, str) and text}
            role = attributes.get("role")
            node.role = role[:_MAX_NAME] if isinstance(role, str) else ""
            if node.tag == "input" and attributes.get("type") in _BOXES:
                node.role = str(attributes["type"])
            if node.tag == "input" and attributes.get("type") in ("submit", "button", "reset"):
                value = attributes.get("value")
                node.tag, node.text = "button", value[:_MAX_NAME] if isinstance(value, str) else ""

    def _remove(self, number: object) -> None:
        if not isinstance(number, int) or number not in self._nodes:
            return
        if holder := self._node(self._nodes[number].parent):
            holder.children.pop(number, None)
        left = [number]
        while left:
            if node := self._nodes.pop(left.pop(), None):
                self._room[0] += 1
                left += node.children


def _objects(given: object) -> list[dict[str, Any]]:
    return [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []
