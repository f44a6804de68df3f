"""Recordings as PostHog's mobile SDKs send them: their events, with the fields that each SDK writes.

- Android: PostHogReplayIntegration.kt and the classes of com.posthog.internal.replay, PostHog/posthog-android. Null
  fields are left out. A wireframe's id is the identity hash of its view. Of screenshots, which React Native uses too,
  the first is a full snapshot, and the others are updates.
- iOS: PostHogReplayIntegration.swift and RRWireframe.swift, PostHog/posthog-ios. Each picture is a full snapshot.
- Flutter: SnapshotSender.kt, PostHog/posthog-flutter.
"""

import base64
import struct
import zlib
from typing import Any

from tests.builders import NOW_MS

Event = dict[str, Any]
Wireframe = dict[str, Any]

WIDTH, HEIGHT = 411, 891
ROOT, COLUMN, TITLE, NAME, LOGIN, DIALOG, DIALOG_TEXT = 190_731_052, 4_102, 88_213_411, 17_020, 55_500, 7_001, 7_002


def event(kind: int, at: float, **data: Any) -> Event:
    """An event, `at` milliseconds after NOW_MS."""
    return {"type": kind, "timestamp": NOW_MS + at, "data": data}


def png(width: int, height: int, color: tuple[int, int, int]) -> str:
    """A picture of one color, in base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = (b"\0" + bytes(color) * width) * height
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return base64.b64encode(data).decode()


def in_lines(text: str) -> str:
    """Base64 as Android's `Base64.DEFAULT` writes it: in lines of 76 characters."""
    return "".join(text[at : at + 76] + "\n" for at in range(0, len(text), 76))


RED, GREEN, BLUE = (png(16, 16, color) for color in ((200, 40, 40), (40, 160, 60), (40, 80, 200)))


def meta(at: float, screen: str = "MainActivity", width: int = WIDTH, height: int = HEIGHT) -> Event:
    return event(4, at, href=screen, width=width, height=height)


def snapshot(at: float, *wireframes: object) -> Event:
    return event(2, at, wireframes=list(wireframes), initialOffset={"top": 0, "left": 0})


def mutation(at: float, **changes: list[Any]) -> Event:
    """A mutation of Android: only the lists that are not empty."""
    return event(3, at, source=0, **changes)


def change(wireframe: Wireframe, parent: int | None = None) -> Event:
    """An entry of `adds` or `updates`. The root has no parent."""
    return {"wireframe": wireframe} if parent is None else {"wireframe": wireframe, "parentId": parent}


def touch(at: float, x: int, y: int, kind: int, finger: int = 0) -> Event:
    """The begin (7) or end (9) of a touch. `id` is the finger's number."""
    return event(3, at, source=2, type=kind, id=finger, x=x, y=y, pointerType=2)


def keyboard(at: float, **payload: Any) -> Event:
    return event(5, at, tag="keyboard", payload=payload)


def view(number: int, x: int, y: int, width: int, height: int, kind: object = None, **more: Any) -> Wireframe:
    """A wireframe of Android. A view has no type if it only holds others."""
    wireframe = {"id": number, "x": x, "y": y, "width": width, "height": height, "disabled": False, "style": {}}
    return {**wireframe, **({"type": kind} if kind else {}), **more}


def text(number: int, y: int, words: str, **style: Any) -> Wireframe:
    look = {"color": "#202124", "fontFamily": "sans-serif", "fontSize": 16, "paddingLeft": 4, "paddingTop": 2, **style}
    return view(number, 24, y, 363, 32, "text", text=words, style=look)


def column(*extra: Wireframe, title: str = "Sign in to the shop", name: str = "ada@shop.test") -> Wireframe:
    """The main column of the app's screen, with one of each kind."""
    bar = {"color": "#101010", "fontSize": 16}
    return view(
        COLUMN,
        0,
        24,
        WIDTH,
        819,
        childWireframes=[
            text(TITLE, 40, title, fontSize=26, color="#1A237E"),
            view(102, 24, 90, 363, 100, "image", base64=f"data:image/png;base64,{in_lines(GREEN)}"),
            view(NAME, 24, 206, 363, 48, "input", inputType="text_area", value=name, style={"fontSize": 16}),
            view(104, 24, 264, 363, 36, "input", inputType="checkbox", checked=True, label="Stay signed in", style=bar),
            view(
                105,
                24,
                304,
                363,
                72,
                "radio_group",
                childWireframes=[
                    view(106, 24, 304, 363, 36, "input", inputType="radio", checked=True, label="Private", style=bar),
                    view(107, 24, 340, 363, 36, "input", inputType="radio", checked=False, label="Company", style=bar),
                ],
            ),
            view(108, 24, 384, 363, 40, "input", inputType="select", value="Germany", options=["France", "Germany"]),
            view(109, 24, 432, 363, 36, "input", inputType="toggle", checked=True, label="Dark mode", style=bar),
            view(110, 24, 476, 363, 16, "input", inputType="progress", value=30, max=100, style={"bar": "horizontal"}),
            view(111, 24, 500, 40, 40, "input", inputType="progress", style={"bar": "circular"}),
            view(112, 84, 500, 200, 40, "input", inputType="progress", value=3.5, max=5, style={"bar": "rating"}),
            view(113, 24, 552, 363, 80, "web_view"),
            view(114, 24, 640, 363, 60, "placeholder", label="map"),
            view(115, 24, 708, 363, 4, "rectangle", style={"backgroundColor": "#E91E63"}),
            view(
                LOGIN,
                24,
                724,
                363,
                48,
                "input",
                inputType="button",
                value="SIGN IN",
                style={
                    "color": "#FFFFFF",
                    "backgroundColor": "#1A237E",
                    "borderColor": "#000000",
                    "borderWidth": 1,
                    "fontSize": 14,
                    "verticalAlign": "center",
                    "horizontalAlign": "center",
                },
            ),
            *extra,
        ],
    )


def root(*children: Wireframe) -> Wireframe:
    """The root of Android's views, with the bars of the system."""
    bars = [
        view(501, 0, 0, WIDTH, 24, "status_bar", style={"backgroundColor": "#0D1250"}),
        view(502, 0, 843, WIDTH, 48, "navigation_bar", style={"backgroundColor": "#000000"}),
    ]
    return view(ROOT, 0, 0, WIDTH, HEIGHT, style={"backgroundColor": "#FAFAFA"}, childWireframes=[*children, *bars])


def android() -> list[Event]:
    """A form that is filled in: keyboard, touches, changes, and a message that comes and goes."""
    notice = {**text(DIALOG_TEXT, 330, "Wrong password", color="#B00020"), "x": 60, "width": 291}
    dialog = view(
        DIALOG, 40, 310, 331, 120, style={"backgroundColor": "#FFFFFF", "borderRadius": 8}, childWireframes=[notice]
    )
    return [
        meta(0),
        snapshot(0, root(column())),
        touch(500, 120, 230, 7),
        touch(560, 120, 230, 9),
        keyboard(700, open=True, height=290),
        mutation(1_000, updates=[change(column(name="grace@shop.test")["childWireframes"][2], COLUMN)]),
        keyboard(1_500, open=False),
        touch(2_000, 200, 748, 7),
        touch(2_050, 200, 748, 9, finger=1),
        mutation(2_400, adds=[change(dialog, ROOT), change(notice, DIALOG)]),
        mutation(
            4_000,
            removes=[{"id": DIALOG, "parentId": ROOT}, {"id": DIALOG_TEXT, "parentId": DIALOG}],
            updates=[change(text(TITLE, 40, "Welcome back", fontSize=26), COLUMN)],
        ),
    ]


def screenshot(picture: str, number: int = ROOT) -> Wireframe:
    image = f"data:image/png;base64,{in_lines(picture)}"
    return {
        "id": number,
        "x": 0,
        "y": 0,
        "width": WIDTH,
        "height": HEIGHT,
        "type": "screenshot",
        "base64": image,
        "style": {},
    }


def android_screenshots() -> list[Event]:
    return [
        meta(0),
        snapshot(0, screenshot(RED)),
        touch(300, 50, 60, 7),
        touch(360, 50, 60, 9),
        mutation(1_000, updates=[change(screenshot(GREEN))]),
        mutation(2_000, updates=[change(screenshot(BLUE))]),
    ]


def ios_screenshots() -> list[Event]:
    return [
        event(4, 0, width=390, height=844),
        *[snapshot(1_000 * at, screenshot(picture, 4_374_020_096)) for at, picture in enumerate((RED, GREEN, BLUE))],
    ]


def flutter() -> list[Event]:
    """Its meta event names the screen, and comes again with each screen."""
    return [
        meta(0, "/home"),
        snapshot(10, {**screenshot(RED, 1), "x": 0, "y": 0}),
        meta(1_500, "/cart"),
        snapshot(1_510, screenshot(GREEN, 2)),
    ]
