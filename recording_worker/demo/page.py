"""The pages of a small made-up shop, as rrweb node trees for full snapshots."""

from collections.abc import Sequence
from copy import copy
from itertools import count
from random import Random

Node = dict[str, object]

HOST = "https://shop.example"

_DOCUMENT, _DOCTYPE, _ELEMENT, _TEXT = 0, 1, 2, 3
_PRODUCTS = 60
_NOUNS = ("kettle", "lamp", "teapot", "blanket", "notebook", "umbrella", "basket", "clock", "mug", "scarf")
_ADJECTIVES = ("quiet", "copper", "folding", "oak", "striped", "little", "enamel", "linen", "grey", "everyday")
_WORDS = (
    *("made", "by", "hand", "in", "small", "numbers", "and", "sent", "within", "two", "days", "with", "a", "spare"),
    *("part", "washes", "well", "keeps", "its", "colour", "is", "repaired", "free", "of", "charge", "as", "long"),
)
_STYLE = "\n".join(
    f".{name}{{display:flex;gap:{gap}px;margin:0 auto;padding:{gap * 2}px;border-radius:6px;background:#fff}}"
    for gap, name in enumerate(("bar", "grid", "card", "price", "buy", "field", "cart", "note", "foot"), start=4)
)

PATHS = ("/", "/lamps", "/kettles?sort=price", "/product/copper-kettle", "/cart", "/checkout", "/help/returns")
"""The pages of the shop."""


class Page:
    """One page: its tree, and the ids of the nodes that visitors and scripts change."""

    def __init__(self, path: str, random: Random) -> None:
        self.href = HOST + path
        self.ids = count(1)
        """Ids for new nodes."""
        self._random = random
        self.texts: list[int] = []
        """Ids of text nodes."""
        self.buttons: list[int] = []
        self.inputs: list[int] = []
        self.lists: list[tuple[int, list[int]]] = []
        """Lists that scripts change: each list's id, and its children's ids."""
        self.root = self._document(path)

    def load(self) -> "Page":
        """Return the page for one visitor. The tree is shared; each visitor has ids of its own from here on."""
        page = copy(self)
        page.ids = copy(self.ids)
        page.texts = self.texts.copy()
        page.buttons = self.buttons.copy()
        page.lists = [(parent, children.copy()) for parent, children in self.lists]
        return page

    def element(self, tag: str, attributes: dict[str, str], children: Sequence[Node] = ()) -> Node:
        """Make a new element of this page."""
        return {
            "type": _ELEMENT,
            "tagName": tag,
            "attributes": attributes,
            "childNodes": list(children),
            "id": next(self.ids),
        }

    def text(self, content: str) -> Node:
        """Make a new text node of this page."""
        number = next(self.ids)
        self.texts.append(number)
        return {"type": _TEXT, "textContent": content, "id": number}

    def card(self) -> Node:
        """Make a new product, which scripts add to a list."""
        name = f"{self._random.choice(_ADJECTIVES)} {self._random.choice(_NOUNS)}"
        button = self.element("button", {"class": "buy", "type": "button"}, [self.text("Add to basket")])
        self.buttons.append(_id(button))
        return self.element(
            "li",
            {"class": "card", "data-sku": f"{self._random.randrange(10**6):06d}"},
            [
                self.element("img", {"alt": name, "src": f"{HOST}/img/{name.replace(' ', '-')}.webp", "width": "320"}),
                self.element("h3", {"class": "name"}, [self.text(name.capitalize())]),
                self.element("p", {"class": "note"}, [self.text(self.sentence())]),
                self.element(
                    "span", {"class": "price"}, [self.text(f"€ {self._random.randrange(500, 20000) / 100:.2f}")]
                ),
                button,
            ],
        )

    def sentence(self) -> str:
        words = self._random.choices(_WORDS, k=self._random.randrange(8, 24))
        return " ".join(words).capitalize() + "."

    def _document(self, path: str) -> Node:
        head = self.element(
            "head",
            {},
            [
                self.element("title", {}, [self.text(f"Shop — {path}")]),
                self.element("style", {"_cssText": _STYLE}),
                self.element("link", {"rel": "icon", "href": f"{HOST}/favicon.svg"}),
            ],
        )
        main = self._form() if path in ("/cart", "/checkout") else self._product_list()
        body = self.element("body", {"class": "page"}, [self._bar(), main, self._foot()])
        html = self.element("html", {"lang": "en"}, [head, body])
        doctype: Node = {"type": _DOCTYPE, "name": "html", "publicId": "", "systemId": "", "id": next(self.ids)}
        return {"type": _DOCUMENT, "childNodes": [doctype, html], "id": next(self.ids)}

    def _bar(self) -> Node:
        search = self.element("input", {"type": "search", "name": "q", "placeholder": "Search the shop"})
        self.inputs.append(_id(search))
        links = [self.element("a", {"href": HOST + path}, [self.text(path)]) for path in PATHS]
        return self.element("nav", {"class": "bar"}, [*links, search])

    def _product_list(self) -> Node:
        cards = [self.card() for _ in range(self._random.randrange(_PRODUCTS // 3, _PRODUCTS))]
        products = self.element("ul", {"class": "grid"}, cards)
        self.lists.append((_id(products), [_id(card) for card in cards]))
        return self.element("main", {}, [self.element("h1", {}, [self.text("What we have today")]), products])

    def _form(self) -> Node:
        fields = []
        for name in ("name", "street", "city", "postcode", "email", "gift-note"):
            field = self.element("input", {"type": "text", "name": name, "value": ""})
            self.inputs.append(_id(field))
            fields.append(self.element("label", {"class": "field"}, [self.text(name), field]))
        button = self.element("button", {"class": "buy", "type": "submit"}, [self.text("Order")])
        self.buttons.append(_id(button))
        return self.element("main", {}, [self.element("form", {"class": "cart"}, [*fields, button])])

    def _foot(self) -> Node:
        notes = [self.element("p", {}, [self.text(self.sentence())]) for _ in range(6)]
        return self.element("footer", {"class": "foot"}, notes)


def _id(node: Node) -> int:
    number = node["id"]
    assert isinstance(number, int)
    return number
