"""Makes an HTML box of a wireframe, which is what mobile apps record instead of a page's elements.

A wireframe is hostile input. Its numbers are bounded, its colors and fonts must match a pattern, and its images must be
base64 of a known kind. All other text becomes text. So a style holds nothing that was not checked.

Kinds and fields: mobile.types.ts in PostHog/posthog, common/replay-shared/src/mobile. What the SDKs send of them:
PostHogReplayIntegration.kt in PostHog/posthog-android, PostHogReplayIntegration.swift in PostHog/posthog-ios.
"""

import re
from collections import Counter
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

from recording_worker.text import counted, printable

Wireframe = dict[str, Any]
Css = dict[str, str]


class Missing(Enum):
    """What of a mobile app's screen can't be shown as it was: what to count, and what is said of it."""

    IMAGE = ("image", "of the app can't be shown: only PNG, JPEG, WebP and GIF in base64 can")
    KIND = ("part", "of the app's screens can't be shown: their place is known, not their kind")
    NO_WIREFRAME = ("part", "of the app's screens can't be read: left out")
    OUT_OF_BOUNDS = ("part", "of the app's screens beyond what a screen may hold: left out")


Gap = tuple[Missing, str]
"""What can't be shown, and the name of a kind that is not known."""


def missing_notes(missing: Counter[Gap]) -> list[str]:
    """Return what to say of all that can't be shown."""
    notes = []
    for what in Missing:
        counts = {kind: count for (found, kind), count in missing.items() if found is what}
        if counts:
            noun, rest = what.value
            notes.append(f"{counted(sum(counts.values()), noun)} {rest}{_named(sorted(filter(None, counts)))}.")
    return notes


def _named(kinds: list[str]) -> str:
    shown = [printable(kind[:_MAX_KIND]) for kind in kinds[:_NAMED_KINDS]] + ["…"] * (len(kinds) > _NAMED_KINDS)
    return f" ({', '.join(shown)})" if shown else ""


class Element(NamedTuple):
    tag: str
    attributes: dict[str, str]
    content: tuple["Content", ...] = ()


Content = Element | str
"""What is in a box: elements and texts."""


class Box(NamedTuple):
    style: str
    content: tuple[Content, ...] = ()
    missing: Gap | None = None


_NAMED_KINDS = 10
"""The most kinds that a note names."""
_MAX_KIND = 30
"""Characters of a kind's name that it shows."""
_MAX_NUMBER = 100_000
"""The farthest place, the longest side, the highest value. What exceeds it counts as absent."""
_MAX_STARS = 20

_LENGTH = re.compile(r"(-?\d{1,6}(?:\.\d{1,6})?)(?:px)?", re.ASCII)
_COLOR = re.compile(r"#[0-9a-fA-F]{3,8}|[a-zA-Z]{1,30}|rgba?\([\d., %]{1,40}\)", re.ASCII)
_FONT = re.compile(r"[\w .,-]{1,100}")
_IMAGE = re.compile(r"data:image/(?:png|jpe?g|webp|gif);base64,[A-Za-z0-9+/]+={0,2}", re.ASCII)
_LINE_BREAKS = {ord("\r"): None, ord("\n"): None}
_GENERIC_FONTS = frozenset({"serif", "sans-serif", "monospace", "cursive", "fantasy", "system-ui"})
_VERTICAL = {"top": "flex-start", "center": "center", "bottom": "flex-end"}
_HORIZONTAL = {"left": "flex-start", "center": "center", "right": "flex-end"}
_TEXT_INPUTS = frozenset(
    {"text", "password", "email", "number", "search", "tel", "url", "text_area", "textArea", "textarea"}
)

_CENTERED = {"display": "flex", "align-items": "center", "justify-content": "center", "text-align": "center"}
_TEXT = {"overflow": "hidden", "white-space": "pre-wrap", "overflow-wrap": "anywhere"}
_PLACEHOLDER = {"background-color": "#e8e9ec", "color": "#4b4f58", "border": "1px solid #c9ccd3", **_TEXT}
_FIELD = {"border": "1px solid #b9bdc6", "padding-left": "6px", "display": "flex", "align-items": "center", **_TEXT}
_ON_TOP = {"z-index": "1"}
"""The system's bars are over the app and over the keyboard, wherever they stand in the recording."""
_NO_IMAGE: Gap = (Missing.IMAGE, "")
_FILL = "display:block;width:100%;height:100%"


def box_of(wireframe: Wireframe) -> Box:
    """Return the wireframe as a box, without the wireframes inside it."""
    kind = wireframe.get("type") or "div"
    make = _KINDS.get(kind) if isinstance(kind, str) else None
    if make is None:
        return _unknown(wireframe, _text(kind) or "unknown")
    return make(wireframe)


def keyboard_box(payload: Wireframe) -> Box:
    """Return the keyboard as a box. If the event does not say where it is, it is at the bottom of the screen."""
    keyboard = {**payload, "style": payload.get("styles"), "width": payload.get("width") or "100vw"}
    if _measure(payload.get("x")) or _measure(payload.get("y")):
        return _placeholder(keyboard, "keyboard")
    return _placeholder(keyboard, "keyboard", after={"top": "auto", "bottom": "0px"})


def extent(wireframe: Wireframe) -> tuple[float, float]:
    """Return how far to the right and down the wireframe reaches, in pixels."""
    x, y, width, height = (_measure(wireframe.get(name)) or 0.0 for name in ("x", "y", "width", "height"))
    return x + width, y + height


def _plain(wireframe: Wireframe) -> Box:
    return _box(wireframe)


def _bar(wireframe: Wireframe) -> Box:
    return _box(wireframe, after=_ON_TOP)


def _words(wireframe: Wireframe) -> Box:
    return _box(wireframe, _TEXT, content=(_said(wireframe.get("text")),))


def _image(wireframe: Wireframe) -> Box:
    base64 = wireframe.get("base64")
    url = _image_url(base64)
    if url is None:  # apps leave out images that they mask
        return _placeholder(wireframe, _text(wireframe.get("type")), _NO_IMAGE if base64 else None)
    # the picture before this one must not make way for an empty place while this one is decoded
    return _box(wireframe, content=(Element("img", {"src": url, "decoding": "sync", "style": _FILL}),))


def _labelled(wireframe: Wireframe) -> Box:
    return _placeholder(wireframe, _text(wireframe.get("label")) or "placeholder")


def _web_view(wireframe: Wireframe) -> Box:
    return _placeholder(wireframe, _text(wireframe.get("url")) or "web view")


def _input(wireframe: Wireframe) -> Box:
    kind = wireframe.get("inputType")
    make = _INPUTS.get(kind) if isinstance(kind, str) else None
    if make is None:
        return _unknown(wireframe, _text(kind) or "input")
    box = make(wireframe)
    return box._replace(style=f"{box.style};opacity:0.5") if wireframe.get("disabled") is True else box


def _button(wireframe: Wireframe) -> Box:
    return _box(wireframe, {**_TEXT, **_CENTERED}, content=(_said(wireframe.get("value")),))


def _field(wireframe: Wireframe) -> Box:
    said = _said(wireframe.get("value"))
    if wireframe.get("inputType") == "password":
        said = "•" * len(said)
    return _box(wireframe, _FIELD, content=(said,))


def _select(wireframe: Wireframe) -> Box:
    options = wireframe.get("options")
    first = options[0] if isinstance(options, list) and options else ""
    said = _said(wireframe.get("value")) or _said(first)
    return _box(wireframe, _FIELD, content=(f"{said} ▾",))


def _check(wireframe: Wireframe) -> Box:
    attributes = {"type": _text(wireframe.get("inputType")), "style": "flex:none;margin:0 6px 0 0"}
    if wireframe.get("checked") is True:
        attributes["checked"] = ""
    content = (Element("input", attributes), _said(wireframe.get("label")))
    return _box(wireframe, {"display": "flex", "align-items": "center"}, content=content)


def _toggle(wireframe: Wireframe) -> Box:
    on, label = wireframe.get("checked") is True, _said(wireframe.get("label"))
    color = _color(_style(wireframe).get("color")) or ("#2f6fed" if on else "#b9bdc6")
    size = "flex:none;margin-left:auto;width:2.6em;height:1.5em" if label else "width:100%;height:100%"
    knob = f"position:absolute;top:8%;{'right' if on else 'left'}:4%;height:84%;aspect-ratio:1;border-radius:50%"
    track = Element(
        "div",
        {"style": f"position:relative;{size};border-radius:999px;background-color:{color}"},
        (Element("div", {"style": f"{knob};background-color:#ffffff"}),),
    )
    return _box(wireframe, {"display": "flex", "align-items": "center"}, content=(label, track))


def _progress(wireframe: Wireframe) -> Box:
    bar, value = _style(wireframe).get("bar"), _measure(wireframe.get("value"))
    if bar == "rating":
        return _rating(wireframe)
    most = max(_measure(wireframe.get("max")) or 1.0, 0.001)
    done = None if value is None else min(max(value / most, 0.0), 1.0)
    if bar == "circular":  # a quarter of a ring stands for work whose end is not known
        part = 25 if done is None else round(100 * done)
        color = _color(_style(wireframe).get("color")) or "#2f6fed"
        hole = "mask:radial-gradient(closest-side,transparent 75%,#000000 76%)"
        ring = f"border-radius:50%;background:conic-gradient({color} {part}%,#d5d8de 0);{hole};{_FILL}"
        return _box(wireframe, content=(Element("div", {"style": ring}),))
    attributes = {"max": "1", "style": _FILL, **({} if done is None else {"value": f"{done:g}"})}
    return _box(wireframe, content=(Element("progress", attributes),))


def _rating(wireframe: Wireframe) -> Box:
    value, most = _measure(wireframe.get("value")), _measure(wireframe.get("max"))
    if value is None or most is None or most < 1:
        return _placeholder(wireframe, "rating")
    stars = round(min(most, _MAX_STARS))
    done = min(max(value / most, 0.0), 1.0)
    full = Element("div", {"style": f"position:absolute;left:0;top:0;overflow:hidden;width:{done:.1%}"}, ("★" * stars,))
    shown = Element("div", {"style": "position:relative;display:inline-block"}, ("☆" * stars, full))
    size = 0.8 * (_measure(wireframe.get("height")) or 20.0)
    return _box(wireframe, {"white-space": "nowrap"}, {"font-size": _px(size)}, content=(shown,))


_Make = Callable[[Wireframe], Box]

_KINDS: dict[str, _Make] = {
    **dict.fromkeys(("div", "rectangle", "radio_group"), _plain),
    **dict.fromkeys(("status_bar", "navigation_bar"), _bar),
    **dict.fromkeys(("image", "screenshot"), _image),
    "text": _words,
    "input": _input,
    "placeholder": _labelled,
    "web_view": _web_view,
}
_INPUTS: dict[str, _Make] = {
    **dict.fromkeys(_TEXT_INPUTS, _field),
    **dict.fromkeys(("checkbox", "radio"), _check),
    "button": _button,
    "select": _select,
    "toggle": _toggle,
    "progress": _progress,
}


def _unknown(wireframe: Wireframe, kind: str) -> Box:
    return _placeholder(wireframe, kind, (Missing.KIND, kind))


def _placeholder(wireframe: Wireframe, label: str, missing: Gap | None = None, after: Css | None = None) -> Box:
    box = _box(wireframe, {**_PLACEHOLDER, **_CENTERED}, after, content=(label,))
    return box._replace(missing=missing or box.missing)


def _box(
    wireframe: Wireframe, before: Css | None = None, after: Css | None = None, content: tuple[Content, ...] = ()
) -> Box:
    """Make a box. `before` is how it looks unless the wireframe says otherwise, and `after` whatever it says."""
    style = _style(wireframe)
    css = {**(before or {}), **_place(wireframe), **_looks(style), **_background(style), **(after or {})}
    return Box(
        ";".join(f"{name}:{value}" for name, value in css.items()),
        tuple(part for part in content if part),
        _NO_IMAGE if style.get("backgroundImage") and "background-image" not in css else None,
    )


def _place(wireframe: Wireframe) -> Css:
    """Return where the box is. Places are relative to the screen, also inside another wireframe."""
    css = {"position": "fixed"}
    for name, key in (("left", "x"), ("top", "y")):
        css[name] = _px(_measure(wireframe.get(key)) or 0.0)
    for side in ("width", "height"):
        if wireframe.get(side) == "100vw":
            css[side] = "100vw"
        elif (length := _measure(wireframe.get(side))) is not None and length >= 0:
            css[side] = _px(length)
    return css


def _looks(style: Wireframe) -> Css:
    css: Css = {}
    for name, key in (("color", "color"), ("background-color", "backgroundColor"), ("border-color", "borderColor")):
        if color := _color(style.get(key)):
            css[name] = color
    lengths = [("border-width", "borderWidth"), ("border-radius", "borderRadius"), ("font-size", "fontSize")]
    lengths += [(f"padding-{side.lower()}", f"padding{side}") for side in ("Left", "Right", "Top", "Bottom")]
    for name, key in lengths:
        if (length := _measure(style.get(key))) is not None and length >= 0:
            css[name] = _px(length)
    if "border-width" in css or "border-color" in css:
        css["border-style"] = "solid"
    if font := _font(style.get("fontFamily")):
        css["font-family"] = font
    vertical, horizontal = _text(style.get("verticalAlign")), _text(style.get("horizontalAlign"))
    if vertical in _VERTICAL:
        css |= {"display": "flex", "align-items": _VERTICAL[vertical]}
    if horizontal in _HORIZONTAL:
        css |= {"display": "flex", "justify-content": _HORIZONTAL[horizontal], "text-align": horizontal}
    return css


def _background(style: Wireframe) -> Css:
    url = _image_url(style.get("backgroundImage"))
    if url is None:
        return {}
    size = _text(style.get("backgroundSize"))
    return {
        "background-image": f'url("{url}")',
        "background-size": size if size in ("contain", "cover") else "auto",
        "background-repeat": "no-repeat",
    }


def _style(wireframe: Wireframe) -> Wireframe:
    style = wireframe.get("style")
    return style if isinstance(style, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _said(value: object) -> str:
    """Return a text or a number as text."""
    return f"{number:g}" if (number := _number(value)) is not None else _text(value)


def _number(value: object) -> float | None:
    """Return a number that is finite and in bounds. JSON's true is no number."""
    if isinstance(value, int | float) and not isinstance(value, bool) and -_MAX_NUMBER <= value <= _MAX_NUMBER:
        return float(value)
    return None


def _measure(value: object) -> float | None:
    """Return a number, also if it is a text such as `16px` or `6.5`."""
    if isinstance(value, str):
        found = _LENGTH.fullmatch(value)
        return _number(float(found[1])) if found else None
    return _number(value)


def _px(length: float) -> str:
    return f"{length:.8g}px"


def _color(value: object) -> str | None:
    return value if isinstance(value, str) and _COLOR.fullmatch(value) else None


def _font(value: object) -> str | None:
    if not isinstance(value, str) or not _FONT.fullmatch(value):
        return None
    return value if value in _GENERIC_FONTS else f'"{value}",sans-serif'


def _image_url(value: object) -> str | None:
    """Return an image as a `data:` URL. A text without a type is a PNG, as in PostHog's data-uri.ts.

    Android breaks base64 into lines.
    """
    if not isinstance(value, str):
        return None
    url = value.translate(_LINE_BREAKS)
    if not url.startswith("data:"):
        url = f"data:image/png;base64,{url}"
    return url if _IMAGE.fullmatch(url) else None
