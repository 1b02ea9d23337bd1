"""Text inside a drawing: a short notation for code and math, and an estimate of how wide a text gets.

`` `query` `` is code, `$P_k$` is math with `_` for a subscript and `^` for a superscript (`$T^{1..L}$`); everything else
is plain. In math a single letter is italic, several letters in a row are a name and stay upright (`softmax`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from lessons.widgets.views.markup import Markup, escape, join, tag

SIZE, SMALL, LARGE = 13.0, 12.0, 15.0
"""Font sizes of labels, of notes (nothing but a subscript is smaller) and of headings, in units of the drawing."""
LINE = 1.32
"""Distance of two lines, in font sizes."""

Point = tuple[float, float]

_PARTS = re.compile(r"`(?P<code>[^`]*)`|\$(?P<math>[^$]*)\$|(?P<plain>[^`$]+|[`$])")
_MATH = re.compile(r"(?P<shift>[_^])(?:\{(?P<group>[^}]*)\}|(?P<one>.))|(?P<name>[^\W\d_]+)|(?P<sign>[^_^])")
_SHAPELESS = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
# Widths of DejaVu Sans, the widest of the usual interface fonts, in font sizes; what is not listed is 0.64 wide.
_SORTS = {0.33: " ijlIJ|'!,.:;/-", 0.41: "ft()[]r", 0.78: "ABCDGHKNOQRUVX+=<>~#→−×", 1: "mwMW@%…"}
_WIDTHS = {character: width for width, sort in _SORTS.items() for character in sort}


class Span(NamedTuple):
    """A piece of a line that is set in one style."""

    text: str
    kind: str = ""
    """"" (plain), "code" or "math" (italic)."""
    shift: int = 0
    """-1 for a subscript, 1 for a superscript."""


class Literal(str):
    """Text that is shown character by character: its backticks and dollar signs are not notation."""


def spans(text: str) -> list[Span]:
    """The pieces of one line."""
    if isinstance(text, Literal):
        return [Span(visible(text))]
    return [
        span
        for part in _PARTS.finditer(visible(text))
        for span in (
            _math_spans(part["math"])
            if part["math"] is not None
            else [Span(part["code"], "code") if part["code"] is not None else Span(part["plain"])]
        )
    ]


def visible(text: object) -> str:
    """Text without line ends, in which a character without a shape (a control, a direction mark) appears as its code."""
    return "".join(f"[U+{ord(c):04X}]" if unicodedata.category(c) in _SHAPELESS else c for c in str(text))


def width(text: str, size: float = SIZE) -> float:
    """About how wide a text becomes in the widest of the usual fonts; of several lines, the widest."""
    return max(sum(_span_width(span, size) for span in spans(line)) for line in lines_of(text))


def shortened(text: str, room: float, size: float = SIZE) -> Literal:
    """Text as it is where it fits into `room`, else its beginning and "…"."""
    text = visible(text)
    if width(Literal(text), size) <= room:
        return Literal(text)
    kept = next(
        n for n in range(len(text) - 1, -1, -1) if n == 0 or width(Literal(text[:n] + "…"), size) <= room
    )
    return Literal(text[:kept] + "…")


def label(
    text: str,
    at: Point,
    *,
    anchor: str = "middle",
    kind: str | None = None,
    size: float = SIZE,
    turn: float = 0.0,
) -> Markup:
    """One or several lines of text, their middle at a point.

    Args:
        anchor: "start", "middle" or "end": the part of each line that stands at the point.
        kind: class of the text, such as "quiet" or "strong".
        turn: degrees that the text is turned about the point, clockwise.
    """
    lines = lines_of(text)
    x, first = at[0], at[1] - (len(lines) - 1) * LINE * size / 2 + 0.355 * size
    sort = {SIZE: None, SMALL: "small", LARGE: "large"}[size]
    place = f"{coordinate(at[0])} {coordinate(at[1])}"
    turned = f"rotate({coordinate(turn)} {place})" if turn else None
    kinds = (anchor if anchor != "middle" else None, kind, sort)
    return join(
        *(
            _line(spans(line), (x, first + number * LINE * size), size, kinds, turned)
            for number, line in enumerate(lines)
        )
    )


def _line(
    pieces: list[Span], at: Point, size: float, kinds: Iterable[str | None], turned: str | None
) -> Markup:
    """One line; where all of it is set in one style, the style is the line's."""
    attributes = {"x": coordinate(at[0]), "y": coordinate(at[1]), "transform": turned}
    if len(pieces) == 1 and not pieces[0].shift:
        return tag("text", escape(pieces[0].text), **attributes, class_=classes(*kinds, pieces[0].kind))
    return tag("text", *_tspans(pieces, size), **attributes, class_=classes(*kinds))


def lines_of(text: str) -> list[str]:
    """The lines of a text, literal if it is."""
    return [type(text)(line) for line in text.split("\n")]


def classes(*kinds: str | None) -> str | None:
    """The class attribute of an element: the style sheet's names, which no other view uses."""
    return " ".join(f"dr-{kind}" for kind in kinds if kind) or None


def coordinate(value: float) -> str:
    """A number of the drawing, to one decimal."""
    return f"{round(value, 1) + 0.0:g}"


def _math_spans(math: str) -> Iterator[Span]:
    """Italic letters, upright names and signs, and what stands lower or higher."""
    for part in _MATH.finditer(math):
        if part["shift"]:
            inner = part["group"] if part["group"] is not None else part["one"]
            yield from (span._replace(shift=-1 if part["shift"] == "_" else 1) for span in _math_spans(inner))
        elif part["name"] and len(part["name"]) == 1:
            yield Span(part["name"], "math")
        else:
            yield Span(part["name"] or part["sign"])


def _tspans(pieces: list[Span], size: float) -> Iterator[Markup]:
    """Each piece in its style; a shift is undone by the piece that follows."""
    height = 0.0
    for text, kind, shift in pieces:
        wanted = {-1: 0.24, 0: 0.0, 1: -0.36}[shift] * size
        if not kind and wanted == height == 0:
            yield escape(text)
            continue
        moved = coordinate(wanted - height) if wanted != height else None
        yield tag("tspan", escape(text), class_=classes(kind, "shifted" if shift else None), dy=moved)
        height = wanted


def _span_width(span: Span, size: float) -> float:
    size = 0.76 * size if span.shift else size
    if span.kind == "code":
        return 0.605 * size * len(span.text)
    return size * sum(
        1.05 if unicodedata.east_asian_width(c) in "WF" else _WIDTHS.get(c, 0.64) for c in span.text
    )
