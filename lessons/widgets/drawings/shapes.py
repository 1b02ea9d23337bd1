"""The shapes of a drawing: boxes, pills, arrows, sums, rows of cells and a legend, all as SVG text.

A `Box` is a place and nothing else; functions draw something there and return Markup, so a drawing is the sum of its
parts, later ones on top. What a shape looks like is one word that the style sheet knows: "frozen", "tuned", "data", ...
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lessons.widgets.drawings.labels import SIZE, SMALL, Point, classes, coordinate, label, width
from lessons.widgets.views.markup import Markup, join, tag

RADIUS, BEND, HEAD = 6.0, 7.0, 7.0
"""Of a box's corners and of an arrow's bends; length of an arrow's head."""


@dataclass(frozen=True)
class Box:
    """A rectangle, y pointing down."""

    x: float
    """Of its left side."""
    y: float
    """Of its top."""
    width: float
    height: float

    @classmethod
    def at(cls, center: Point, width: float, height: float) -> Box:
        """The rectangle around a point."""
        return cls(center[0] - width / 2, center[1] - height / 2, width, height)

    @property
    def center(self) -> Point:
        """Its middle."""
        return self.x + self.width / 2, self.y + self.height / 2

    @property
    def left(self) -> Point:
        """Middle of its left side."""
        return self.x, self.y + self.height / 2

    @property
    def right(self) -> Point:
        """Middle of its right side."""
        return self.x + self.width, self.y + self.height / 2

    @property
    def top(self) -> Point:
        """Middle of its top."""
        return self.x + self.width / 2, self.y

    @property
    def bottom(self) -> Point:
        """Middle of its bottom."""
        return self.x + self.width / 2, self.y + self.height

    def moved(self, x: float = 0.0, y: float = 0.0) -> Box:
        """The same rectangle elsewhere."""
        return Box(self.x + x, self.y + y, self.width, self.height)


def rectangle(box: Box, kind: str, radius: float = RADIUS) -> Markup:
    """A rectangle with round corners."""
    place = {"x": box.x, "y": box.y, "width": box.width, "height": box.height, "rx": radius}
    return tag("rect", **{name: coordinate(value) for name, value in place.items()}, class_=classes(kind))


def block(
    box: Box, text: str = "", kind: str = "frozen", *, size: float = SIZE, words: str | None = None
) -> Markup:
    """A box with its label in the middle; `words` is the class of the label."""
    return join(rectangle(box, kind), label(text, box.center, size=size, kind=words) if text else None)


def pill(box: Box, text: str, kind: str = "data", size: float = SIZE) -> Markup:
    """What flows: a box with round ends."""
    return join(rectangle(box, kind, box.height / 2), label(text, box.center, size=size))


def panel(box: Box, title: str = "", *, at: str = "start", kind: str = "ground") -> Markup:
    """A quiet ground behind other parts, its title inside its top."""
    inset = {"start": 14.0, "middle": box.width / 2, "end": box.width - 14}[at]
    words = label(title, (box.x + inset, box.y + 19), anchor=at, kind="strong") if title else None
    return join(rectangle(box, kind, 10), words)


def line(*points: Point, kind: str = "flow") -> Markup:
    """A line through points, its bends rounded."""
    return tag("path", d=_path(points), class_=classes(kind))


def arrow(*points: Point, kind: str = "flow") -> Markup:
    """A line through points with a head at the last one."""
    (x0, y0), (x1, y1) = points[-2:]
    length = math.dist(*points[-2:])
    ux, uy = (x1 - x0) / length, (y1 - y0) / length
    dx, dy, side = HEAD * ux, HEAD * uy, 0.6
    one, other = (-dx - side * dy, -dy + side * dx), (-dx + side * dy, -dy - side * dx)  # from the tip
    head = f"m{_pair(one)}l{_pair((-one[0], -one[1]))}l{_pair(other)}"
    return tag("path", d=_path(points) + head, class_=classes(kind))


def disc(at: Point, radius: float, kind: str) -> Markup:
    """A filled circle."""
    place = {"cx": at[0], "cy": at[1], "r": radius}
    return tag("circle", **{name: coordinate(value) for name, value in place.items()}, class_=classes(kind))


def diamond(at: Point, radius: float, kind: str) -> Markup:
    """A square on its corner."""
    r = coordinate(radius)
    return tag(
        "path", d=f"M{_pair((at[0], at[1] - radius))}l{r} {r}l-{r} {r}l-{r}-{r}z", class_=classes(kind)
    )


def plus(at: Point, kind: str = "data", radius: float = 9.0) -> Markup:
    """The sum of what arrives there."""
    arm = 0.5 * radius
    x, y = at
    sign = f"M{_pair((x - arm, y))}h{coordinate(2 * arm)}M{_pair((x, y - arm))}v{coordinate(2 * arm)}"
    return join(disc(at, radius, kind), tag("path", d=sign, class_=classes("sign")))


def times(at: Point, text: str = "×", kind: str = "data", radius: float = 9.0) -> Markup:
    """The product of what arrives there, or another operation, by its sign."""
    return join(disc(at, radius, kind), label(text, at))


def rectangles(boxes: Iterable[Box], kind: str) -> Markup | None:
    """Many rectangles of one kind, as one element: each begins where it stands from the one before."""
    path, here = [], (0.0, 0.0)
    for box in boxes:
        width, height = coordinate(box.width), coordinate(box.height)
        at = round(box.x, 1), round(box.y, 1)
        path.append(f"m{_pair((at[0] - here[0], at[1] - here[1]))}h{width}v{height}h-{width}z")
        here = at
    return tag("path", d="".join(path), class_=classes(kind)) if path else None


def brace(start: float, end: float, y: float, text: str, below: bool = True, kind: str = "flow") -> Markup:
    """A bracket along a horizontal stretch, with what it says about it."""
    depth = 6 if below else -6
    points = [(start, y), (start, y + depth), (end, y + depth), (end, y)]
    middle = ((start + end) / 2, y + depth + (13 if below else -13))
    return join(tag("path", d=_path(points, bend=4), class_=classes(kind)), label(text, middle, size=SMALL))


def legend(at: Point, entries: Iterable[tuple[str, str]], size: float = SMALL) -> Markup:
    """A row of samples with their names: (kind, text). A kind ending in "-line" is shown as a line, "plus" as a sum."""
    x, y = at
    parts = []
    for kind, text in entries:
        parts.append(_sample(kind, x, y))
        parts.append(label(text, (x + 26, y), anchor="start", kind="quiet", size=size))
        x += 26 + width(text, size) + 20
    return join(*parts)


def _sample(kind: str, x: float, y: float) -> Markup:
    if kind.endswith("-line"):
        return line((x, y), (x + 20, y), kind=kind.removesuffix("-line"))
    if kind.startswith("plus"):
        return plus((x + 11, y), kind.partition("-")[2] or "data", 7)
    if kind == "ring":
        return disc((x + 15, y), 3.5, "ring")
    if kind == "diamond":
        return diamond((x + 13, y), 7, "tuned")
    if kind.startswith("disc"):
        return disc((x + 14, y), 5, kind.partition("-")[2] or "frozen")
    if kind == "pill":
        return rectangle(Box(x, y - 6, 20, 12), "data", 6)
    return rectangle(Box(x, y - 6, 20, 12), kind, 3)


def _path(points: Sequence[Point], bend: float = BEND) -> str:
    """Path data through points; each bend is a curve of `bend` at most, less where a stretch is short."""
    parts, here = [f"M{_pair(points[0])}"], points[0]
    for (before, corner), (_, after) in pairwise(pairwise(points)):
        reach = min(bend, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        if _straight(before, corner, after):
            continue
        turn = _towards(corner, before, reach)
        parts.append(_line_to(here, turn))
        if reach > 0.5:
            here = _towards(corner, after, reach)
            parts.append(f"Q{_pair(corner)} {_pair(here)}")
        else:
            here = corner
    return "".join(parts) + _line_to(here, points[-1])


def _line_to(start: Point, end: Point) -> str:
    """The shortest way to write a straight stretch."""
    (x0, y0), (x1, y1) = ((coordinate(x), coordinate(y)) for x, y in (start, end))
    if (x0, y0) == (x1, y1):
        return ""
    return f"H{x1}" if y0 == y1 else f"V{y1}" if x0 == x1 else f"L{x1} {y1}"


def _straight(a: Point, b: Point, c: Point) -> bool:
    return abs((b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])) < 1e-6


def _towards(start: Point, end: Point, distance: float) -> Point:
    share = distance / math.dist(start, end)
    return start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1])


def _pair(point: Point) -> str:
    x, y = (coordinate(value) for value in point)
    return f"{x}{y}" if y[0] == "-" else f"{x} {y}"
