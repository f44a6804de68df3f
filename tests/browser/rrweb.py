"""Makes rrweb events for tests, and works out which texts a recorded page shows at a given time."""

import json
from collections.abc import Iterable, Sequence
from itertools import count
from typing import Any

from tests.builders import NOW_MS

Node = dict[str, Any]
Event = dict[str, Any]

START = float(NOW_MS)
HIDDEN = frozenset({"style", "script", "noscript", "head", "title"})
"""Elements that do not show their text."""
SHOWN_TEXTS = """() => {
  const shown = document.querySelector("#root iframe").contentDocument;
  const walker = shown.createTreeWalker(shown.body, NodeFilter.SHOW_TEXT);
  const texts = [];
  while (walker.nextNode()) {
    const text = walker.currentNode.data.trim();
    if (text && !walker.currentNode.parentElement.closest("style, script, noscript")) texts.push(text);
  }
  return texts;
}"""
"""JavaScript for the stage: the texts that it shows."""


class Builder:
    """Makes events whose nodes have different ids."""

    def __init__(self) -> None:
        self._ids = count(1)

    def text(self, content: str) -> Node:
        return {"type": 3, "textContent": content, "id": next(self._ids)}

    def element(self, tag: str, attributes: dict[str, Any] | None = None, *children: Node | str) -> Node:
        nodes = [self.text(child) if isinstance(child, str) else child for child in children]
        return {
            "type": 2,
            "tagName": tag,
            "attributes": attributes or {},
            "childNodes": nodes,
            "id": next(self._ids),
        }

    def snapshot(self, at: float, body: Sequence[Node | str], head: Sequence[Node] = ()) -> Event:
        html = self.element("html", {}, self.element("head", {}, *head), self.element("body", {}, *body))
        doctype = {"type": 1, "name": "html", "publicId": "", "systemId": "", "id": next(self._ids)}
        node = {"type": 0, "childNodes": [doctype, html], "id": next(self._ids)}
        return event(2, at, node=node, initialOffset={"top": 0, "left": 0})


def event(kind: int, at: float, **data: Any) -> Event:
    """An event, `at` milliseconds after START."""
    return {"type": kind, "timestamp": START + at, "data": data}


def meta(at: float, href: str = "http://shop.test/", width: int = 1000, height: int = 600) -> Event:
    return event(4, at, href=href, width=width, height=height)


def mutation(at: float, **changes: Any) -> Event:
    return event(3, at, source=0, **{"texts": [], "attributes": [], "removes": [], "adds": [], **changes})


def added(parent: int, node: Node) -> Node:
    return {"parentId": parent, "nextId": None, "node": node}


def console(at: float, level: str, *strings: str) -> Event:
    payload = {"level": level, "trace": [], "payload": [json.dumps(string) for string in strings]}
    return event(6, at, plugin="rrweb/console@1", payload=payload)


def click(at: float, node: int) -> Event:
    return event(3, at, source=2, type=2, id=node, x=10, y=10)


def lines(events: Iterable[Event], window: str = "window-1") -> list[bytes]:
    return [json.dumps([window, item]).encode() for item in events]


def shown_texts(events: Iterable[Event], until: float) -> list[str]:
    """Return the page's texts at a time (milliseconds since 1970), in order, from the events before it."""
    page = _Page()
    for item in events:
        if item["timestamp"] < until:
            page.apply(item)
    return page.texts()


class _Page:
    """The nodes of a page by their ids; children are lists of ids."""

    def __init__(self) -> None:
        self._nodes: dict[int, Node] = {}
        self._children: dict[int, list[int]] = {}
        self._root = 0

    def apply(self, item: Event) -> None:
        data = item["data"]
        if item["type"] == 2:
            self._nodes.clear()
            self._children.clear()
            self._root = self._enter(data["node"])
        elif item["type"] == 3 and data["source"] == 0:
            for removed in data["removes"]:
                self._children[removed["parentId"]].remove(removed["id"])
            self._add(list(data["adds"]))
            for changed in data["texts"]:
                self._nodes[changed["id"]]["textContent"] = changed["value"]

    def _add(self, adds: list[Node]) -> None:
        """Put each node before its `nextId`. A node waits until its parent and neighbour are there."""
        while adds:
            waiting = [one for one in adds if not self._place(one)]
            assert len(waiting) < len(adds), "nodes are added where there is no parent"
            adds = waiting

    def _place(self, one: Node) -> bool:
        siblings = self._children.get(one["parentId"])
        following = one["nextId"]
        if siblings is None or (following is not None and following not in siblings):
            return False
        number = self._enter(one["node"])
        siblings.insert(len(siblings) if following is None else siblings.index(following), number)
        return True

    def _enter(self, node: Node) -> int:
        number: int = node["id"]
        self._nodes[number] = dict(node)
        self._children[number] = [self._enter(child) for child in node.get("childNodes", [])]
        return number

    def texts(self) -> list[str]:
        found: list[str] = []
        self._collect(self._root, found)
        return found

    def _collect(self, number: int, found: list[str]) -> None:
        node = self._nodes[number]
        if node["type"] == 3 and (text := node["textContent"].strip()):
            found.append(text)
        if node.get("tagName") not in HIDDEN:
            for child in self._children[number]:
                self._collect(child, found)
