"""Makes up a visitor of the shop: the rrweb events of one session, in order."""

from collections.abc import Callable, Iterator, Sequence
from random import Random

from recording_worker.demo.page import Page
from recording_worker.formats.rrweb import CONSOLE_PLUGIN, Event, EventType, Interaction, Source

_WIDTH, _HEIGHT = 1280, 800
_MAX_PAGES = 7
_ACTIONS_A_PAGE = (6, 24)
_TYPED = ("teapot", "Ada Example", "12 Long Lane", "ada@example.org", "zum Geburtstag 🎂", "お茶")
_CONSOLE = {
    "log": ['"basket updated"', '{"items":3,"total":"42.50"}'],
    "info": ['"prices refreshed"'],
    "warn": ['"image took 2400 ms"'],
    "error": ['"TypeError: price is undefined"'],
}


class Visitor:
    """Visits some pages. `time_ms` is the time of the last event, from `start_ms` on; milliseconds since 1970."""

    def __init__(self, random: Random, start_ms: int, pages: Sequence[Page]) -> None:
        self.time_ms = start_ms
        self._random = random
        self._pages = pages
        self._page = pages[0]

    def events(self) -> Iterator[Event]:
        """Yield all events of the visit."""
        for page in [self._page, *self._random.choices(self._pages, k=self._random.randrange(1, _MAX_PAGES))]:
            yield from self._load(page)
            for _ in range(self._random.randint(*_ACTIONS_A_PAGE)):
                yield from self._random.choices(*self._actions())[0]()

    def _actions(self) -> tuple[list[Callable[[], Iterator[Event]]], list[int]]:
        """Return what a visitor does, and how often in proportion."""
        actions = {
            self._move: 5,
            self._scroll: 3,
            self._click: 3,
            self._type: 2,
            self._mutate: 4,
            self._log: 2,
            self._resize: 1,
            self._note: 1,
        }
        return list(actions), list(actions.values())

    def _event(self, kind: int, data: Event, after_ms: int = 20) -> Event:
        self.time_ms += self._random.randrange(after_ms // 2, after_ms * 2)
        return {"type": kind, "data": data, "timestamp": self.time_ms}

    def _incremental(self, source: int, after_ms: int = 20, **data: object) -> Event:
        return self._event(EventType.INCREMENTAL, {"source": source, **data}, after_ms)

    def _load(self, page: Page) -> Iterator[Event]:
        self._page = page.load()
        yield self._event(EventType.META, {"href": self._page.href, "width": _WIDTH, "height": _HEIGHT}, 500)
        yield self._event(EventType.FULL_SNAPSHOT, {"node": self._page.root, "initialOffset": {"left": 0, "top": 0}})
        yield self._event(EventType.CUSTOM, {"tag": "$pageview", "payload": {"href": self._page.href}})

    def _move(self) -> Iterator[Event]:
        x, y = self._random.randrange(_WIDTH), self._random.randrange(_HEIGHT)
        node = self._random.choice(self._page.texts)
        positions = []
        for offset in range(-450, 1, 50):
            x, y = x + self._random.randrange(-30, 30), y + self._random.randrange(-20, 20)
            positions.append({"x": x, "y": y, "id": node, "timeOffset": offset})
        yield self._incremental(Source.MOUSE_MOVE, 500, positions=positions)

    def _scroll(self) -> Iterator[Event]:
        y = 0
        for _ in range(self._random.randrange(2, 8)):
            y += self._random.randrange(40, 240)
            yield self._incremental(Source.SCROLL, 100, id=1, x=0, y=y)

    def _click(self) -> Iterator[Event]:
        if not self._page.buttons:
            return
        button = self._random.choice(self._page.buttons)
        at = {"id": button, "x": self._random.randrange(_WIDTH), "y": self._random.randrange(_HEIGHT), "pointerType": 0}
        for kind in (Interaction.MOUSE_DOWN, Interaction.MOUSE_UP, Interaction.CLICK):
            yield self._incremental(Source.MOUSE_INTERACTION, 60, type=kind, **at)

    def _type(self) -> Iterator[Event]:
        field, text = self._random.choice(self._page.inputs), self._random.choice(_TYPED)
        for end in range(1, len(text) + 1):
            yield self._incremental(Source.INPUT, 120, id=field, text=text[:end], isChecked=False, userTriggered=True)

    def _mutate(self) -> Iterator[Event]:
        """Let a script change a text, mark a button and, if there is a list, exchange a product."""
        page = self._page
        adds, removes = [], []
        if page.lists:
            parent, children = page.lists[0]
            removed, added = children.pop(self._random.randrange(len(children))), page.card()
            number = added["id"]
            assert isinstance(number, int)
            children.append(number)
            removes.append({"parentId": parent, "id": removed})
            adds.append({"parentId": parent, "nextId": None, "node": added})
        yield self._incremental(
            Source.MUTATION,
            200,
            texts=[{"id": self._random.choice(page.texts), "value": page.sentence()}],
            attributes=[{"id": number, "attributes": {"class": "buy busy"}} for number in page.buttons[:1]],
            removes=removes,
            adds=adds,
        )

    def _log(self) -> Iterator[Event]:
        level = self._random.choice(list(_CONSOLE))
        payload = {"level": level, "trace": [f"{self._page.href}app.js:12:7"], "payload": _CONSOLE[level]}
        yield self._event(EventType.PLUGIN, {"plugin": CONSOLE_PLUGIN, "payload": payload})

    def _resize(self) -> Iterator[Event]:
        width, height = self._random.choice(((1280, 800), (1024, 768), (390, 844)))
        yield self._incremental(Source.VIEWPORT_RESIZE, 400, width=width, height=height)

    def _note(self) -> Iterator[Event]:
        """Let the visitor read for a while, which the recorder reports."""
        yield self._event(EventType.CUSTOM, {"tag": "sessionIdle", "payload": {"reason": "user inactivity"}}, 6000)
