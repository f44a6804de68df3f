"""Messages that a client could send, and messages that it should not send.

Everything is generated as JSON text, so that white space, escapes, repeated keys and odd numbers are part of it.
All choices come from one `Random`: hypothesis's own, which it can shrink, or a seeded one, which is faster.
The first of several choices is the plainest.
"""

import json
from collections.abc import Callable, Sequence
from random import Random

from hypothesis import strategies as st

from tests.builders import NOW_MS
from tests.inputs import ENCODED, Input, gzip_member, gzip_value

SPACES = ["", "", "", "", "", "", " ", "  ", "\t", "\n", "\r\n", "\n \t", "\r"]
CHARACTERS = ["a", "b", " ", "{", "]", ",", ":", "/", "é", "\x7f", "\x80", "\u2028", "漢", "\ufeff", "\ufffd", "😀"]
ESCAPES = ['\\"', "\\\\", "\\/", "\\b", "\\f", "\\n", "\\r", "\\t", "\\u0000", "\\ud83d\\ude00", "\\uFEFF", "\\u0061"]
NUMBERS = [
    "0", "1", "2", "-1", "-0", "0.5", "-0.0e-0", "1e3", "1e999", "-1E+999", "1e-999", "0.000", "9" * 400, "1.5e+05",
    "123456789012345678901234567890", "9223372036854775808", "18446744073709551616", "1" + "0" * 309, "3.14159",
]  # fmt: skip
KEYS = [
    "type", "timestamp", "data", "source", "href", "payload", "plugin", "tag", "level", "event", "properties",
    "distinct_id", "$session_id", "$window_id", "$snapshot_items", "$snapshot_source", "$lib", "", "é", "x",
    "wireframes", "wireframe", "adds", "updates", "id",
]  # fmt: skip

Text = Callable[[], str]
Member = tuple[str, Text]


class Generator:
    """Texts of a message and its parts, each by a method that draws one."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance

    def _one(self, *choices: str) -> str:
        return self._chance.choice(choices)

    def _rarely(self, one_in: int) -> bool:
        return self._chance.randrange(one_in) == one_in - 1

    def _mostly(self, usual: Text, one_in: int = 20) -> str:
        return self.value() if self._rarely(one_in) else usual()

    # any JSON

    def space(self) -> str:
        """Draw white space between tokens: the same everywhere in one array or object."""
        return self._one(*SPACES) if self._rarely(4) else ""

    def string(self) -> str:
        pieces = []
        for _ in range(self._chance.choice([1, 0, 2, 3, 6])):
            kind = self._chance.randrange(8)
            if kind < 5:
                pieces.append(self._one(*CHARACTERS))
            elif kind < 7:
                pieces.append(self._one(*ESCAPES))
            else:
                code = self._chance.choice([0, 0xD800]) + self._chance.randrange(0x800)
                pieces.append(self._one(f"\\u{code:04x}", f"\\u{code:04X}"))
        return '"' + "".join(pieces) + '"'

    def number(self) -> str:
        return self._one(*NUMBERS)

    def scalar(self) -> str:
        kinds: list[Text] = [self.string, self.number, lambda: self._one("null", "true", "false")]
        return self._chance.choice(kinds)()

    def value(self, depth: int = 0) -> str:
        kind = self._chance.randrange(6)
        if depth > 3 or kind < 3:
            return self.scalar()
        count = self._chance.randrange(4)
        if kind == 3:
            return self.array([self.value(depth + 1) for _ in range(count)])
        return self.object([(self.any_key(), self.value(depth + 1)) for _ in range(count)])

    def array(self, elements: Sequence[str]) -> str:
        space = self.space()
        return f"[{space}" + f"{space},{space}".join(elements) + f"{space}]"

    def object(self, members: Sequence[tuple[str, str]]) -> str:
        """Join an object's members, whose keys and values are texts."""
        space = self.space()
        inner = f"{space},{space}".join(f"{key}{space}:{space}{text}" for key, text in members)
        return f"{{{space}{inner}{space}}}"

    def any_key(self) -> str:
        return self.string() if self._rarely(3) else self.key(self._one(*KEYS))

    def key(self, name: str) -> str:
        """Draw the JSON text of a key. Sometimes some of its characters are escaped."""
        if not self._rarely(12):
            return json.dumps(name)
        return '"' + "".join(c if self._rarely(2) else f"\\u{ord(c):04x}" for c in name) + '"'

    def known(self, *members: Member) -> str:
        """Draw an object with these members in any order. Rarely a member is missing, repeated, or added."""
        pairs = []
        for name, text in members:
            if not self._rarely(100):
                pairs.append((self.key(name), text()))
            if self._rarely(25):
                pairs.append((self.key(name), self._mostly(text, 5)))
        if self._rarely(5):
            pairs += [(self.any_key(), self.value()) for _ in range(2)]
        if self._rarely(3):
            self._chance.shuffle(pairs)
        return self.object(pairs)

    # events

    def event(self) -> str:
        kind = self._chance.randrange(40)
        if kind == 39:
            return self.value()
        if kind == 38:
            return self.known(("type", self.number), ("timestamp", self.timestamp), ("data", self.value))
        event_type, data = self._chance.choice(
            [
                ("3", self._incremental),
                ("3", self._incremental),
                ("3", self._incremental),
                ("2", self.string),
                ("4", self._meta),
                ("5", self._custom),
                ("6", self._plugin),
                ("2", self._screens),
                ("3", self._changed_screens),
            ]
        )
        return self.known(
            ("type", lambda: self._mostly(lambda: event_type + self._one("", "", "", ".0", "e0"), 40)),
            ("timestamp", self.timestamp),
            ("data", lambda: self._mostly(data, 40)),
        )

    def timestamp(self) -> str:
        if self._rarely(40):
            return self._one("0", "-1", "8.64e15", "8640000000000001", "1e999", "null", '"1"')
        if self._rarely(15):
            return self._one("1", f"{NOW_MS - 604_800_000}")
        if self._rarely(300):
            return self.value()
        at = NOW_MS + self._chance.choice([0, 1, 2, 3, 4, 8]) * self._chance.choice([2_500, 1, 5_001])
        return str(at) + self._one("", "", "", "", ".0", ".5", "e0")

    def _small(self) -> str:
        return str(self._chance.randrange(14)) + self._one("", "", "", "", "", ".0", "e0", ".5")

    def _incremental(self) -> str:
        if self._rarely(6):
            return self.known(("source", lambda: "0"), ("texts", self.string), ("adds", self.string))
        return self.known(("source", self._small), ("type", self._small))

    def _wireframe(self) -> str:
        def kind() -> str:
            return self._mostly(lambda: self._one('"text"', '"screenshot"', '"screenshot "'), 10)

        return self.known(("id", lambda: self._mostly(self.number, 5)), ("type", kind), ("x", self.number))

    def _list_of(self, element: Text) -> Text:
        return lambda: self._mostly(lambda: self.array([element() for _ in range(self._chance.randrange(4))]), 10)

    def _screens(self) -> str:
        """Draw the full snapshot of a mobile app."""
        return self.known(("wireframes", self._list_of(lambda: self._mostly(self._wireframe, 5))))

    def _changed_screens(self) -> str:
        def mutation() -> str:
            return self.known(("wireframe", lambda: self._mostly(self._wireframe, 5)))

        changes = self._list_of(lambda: self._mostly(mutation, 10))
        return self.known(
            ("source", lambda: self._one("0", "0", "0.0", "-0", "1")), ("adds", changes), ("updates", changes)
        )

    def _url(self) -> str:
        if self._rarely(20):
            return '"' + self._one("a", "é", "😀") * self._chance.choice([4_095, 4_096, 4_097]) + '"'
        if self._rarely(4):
            return self.string()
        return f'"{self._spaces()}https://a.test/{self._chance.randrange(40)}{self._spaces()}"'

    def _spaces(self) -> str:
        """Draw white space as a string may have it."""
        count = self._chance.randrange(3) if self._rarely(8) else 0
        return "".join(self._one(" ", "\\n", "\\u0020", "\\u2003", "\u3000", "\ufeff", "\\uFEFF") for _ in range(count))

    def _meta(self) -> str:
        return self.known(("href", lambda: self._mostly(self._url)), ("width", self.number))

    def _custom(self) -> str:
        def payload() -> str:
            return self._mostly(lambda: self.known(("href", self._url)))

        return self.known(
            ("tag", lambda: self._one('"$url_changed"', '"$json_ld"', '"\\u0024json_ld"')), ("payload", payload)
        )

    def _plugin(self) -> str:
        plugin = self._one('"rrweb/console@1"', '"rrweb/console@1"', '"rrweb\\/console@1"', '"rrweb/network@1"')
        return self.known(("plugin", lambda: plugin), ("payload", lambda: self._mostly(self._console)))

    def _console(self) -> str:
        level = self._one('"log"', '"warn"', '"error"', '"assert"', '"countReset"', '"info"', '"\\u0077arn"')

        def strings() -> str:
            return self.array([self._mostly(self.string, 5) for _ in range(self._chance.randrange(4))])

        return self.known(("level", lambda: self._mostly(lambda: level)), ("payload", lambda: self._mostly(strings)))

    def packed_event(self) -> str:
        """Draw an event as the client packs it, or nearly so."""
        members: list[Member] = [
            ("type", lambda: self._one("2", "3")),
            ("timestamp", self.timestamp),
            ("cv", lambda: self._mostly(lambda: '"2024-10"', 10)),
        ]
        if self._rarely(2):
            return self.known(*members, ("data", lambda: self._mostly(self._packed, 10)))
        fields = [(name, lambda: self._mostly(self._packed, 10)) for name in ("texts", "attributes", "removes", "adds")]
        return self.known(*members, ("data", lambda: self.known(("source", lambda: "0"), *fields)))

    def _packed(self) -> str:
        plain = (self.space() + self.value() + self.space()).encode()
        if self._rarely(15):
            plain += self._one(",", "\0", "{}", "\ufffd").encode()[:2]
        packed = gzip_value(plain)
        if self._rarely(15):
            at = self._chance.randrange(len(packed))
            packed = packed[:at] + bytes([self._chance.randrange(256)]) + packed[at + 1 :]
        if self._rarely(15):
            packed += gzip_value(b" ") + b"\0"
        string = packed.decode("latin-1") + ("\u0100" if self._rarely(20) else "")
        return self.json_string(string)

    # messages

    def items(self) -> str:
        count = self._chance.choice([1, 0, 2, 3, 5, 8])
        return self.array([self.packed_event() if self._rarely(6) else self.event() for _ in range(count)])

    def _id(self) -> str:
        if self._rarely(60):
            count = self._chance.choice([256, 257, 1024, 1025])
            return self.json_string(self._one("x", "\u00e9", "\U0001f600") * count)
        return self.string() if self._rarely(10) else self._one('"s1"', '"s1"', '"s2"', '"\\u00e9\\ud83d\\ude00"')

    def _properties(self) -> str:
        return self.known(
            ("$session_id", lambda: self._mostly(self._id, 100)),
            ("$window_id", lambda: self._mostly(self._id, 100)),
            (
                "$snapshot_source",
                lambda: self._one('"mobile"', "null") if self._rarely(2) else self._mostly(self.string),
            ),
            ("$lib", lambda: self._mostly(self.string, 100)),
            ("$snapshot_items", lambda: self._mostly(self.items, 100)),
        )

    def body(self) -> str:
        """Draw the text of `data`."""
        return self.known(
            ("event", lambda: self._mostly(lambda: '"$snapshot_items"', 100)),
            ("properties", lambda: self._mostly(self._properties, 100)),
        )

    def json_string(self, text: str) -> str:
        """Draw one of the ways to write the text as a JSON string."""
        style = self._chance.randrange(8)
        if style < 6:
            return json.dumps(text, ensure_ascii=style < 3)
        seeded = Random(self._chance.randrange(1 << 16))
        out = []
        for character in text:
            units = character.encode("utf-16-be")
            if seeded.random() < 0.2:
                out += [f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2)]
            else:
                out.append(json.dumps(character, ensure_ascii=False)[1:-1])
        if style == 7:
            out.insert(seeded.randrange(len(out) + 1), f"\\ud{seeded.choice('89abcdef')}{seeded.randrange(256):02x}")
        return '"' + "".join(out) + '"'

    def _bom(self) -> str:
        return "\ufeff" if self._rarely(30) else ""

    def plain(self) -> bytes:
        """Draw a message, valid or nearly so. Sometimes some of its bytes are not UTF-8."""
        text = self.known(
            ("distinct_id", lambda: self._mostly(self._id, 100)),
            ("data", lambda: self.json_string(self._bom() + self.space() + self.body() + self.space())),
            ("token", self.string),
        )
        plain = (self._bom() + self.space() + text + self.space()).encode()
        if self._rarely(12):
            at = self._chance.randrange(len(plain) + 1)
            return plain[:at] + self._chance.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf0\x9f\x98"]) + plain[at:]
        return plain

    def _header(self) -> str | None:
        return self._chance.choice([None, "s1", "é😀"]) if self._rarely(8) else None

    def row(self) -> Input:
        """Draw a row of a decode call: a message in one of the encodings, with headers."""
        plain = self.plain()
        way = self._chance.choice([*ENCODED, "members", "wrong"] if self._rarely(2) else ["plain"])
        if way == "members":
            at = self._chance.randrange(len(plain) + 1)
            tail = self._chance.choice([b"", b"\0\0", b"\x1f"])
            row = Input(gzip_member(plain[:at], name=b"a") + gzip_member(plain[at:], extra=b"") + tail)
        elif way == "wrong":
            row = ENCODED[self._chance.choice(list(ENCODED))](plain)
            row = row._replace(content_encoding=self._chance.choice([None, "gzip", "lz4", "zstd", "br"]))
        else:
            row = ENCODED[way](plain)
        return row._replace(session_id_header=self._header(), distinct_id_header=self._header())


chances = st.randoms(use_true_random=False)
rows = chances.map(lambda chance: Generator(chance).row())
"""Messages valid or nearly so, in all encodings."""
plains = chances.map(lambda chance: Generator(chance).plain())
"""Their texts."""

any_bytes: st.SearchStrategy[bytes | None] = st.one_of(
    st.none(),
    st.binary(max_size=100),
    st.binary(max_size=60).map(b"\x1f\x8b\x08".__add__),
    st.binary(max_size=60).map(b"\x28\xb5\x2f\xfd".__add__),
    st.binary(max_size=60).map(b"\x40\x00\x00\x00".__add__),
    st.text('{}[]",:0123456789-+.eEtrufalsn\\ \n', max_size=30).map(str.encode),
    chances.map(lambda chance: Generator(chance).value().encode()),
)
any_rows = st.builds(
    Input,
    any_bytes,
    st.sampled_from([None, None, "gzip", "lz4", "zstd", ""]),
    st.sampled_from([None, "s1"]),
    st.sampled_from([None, "s1"]),
    st.sampled_from([NOW_MS, NOW_MS, 0, -1]),
)
"""Bytes that were never a message."""
