"""What several views are built of: a heading, a scale of shades, figures with their names, a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lessons.widgets.views.markup import Markup, tag


def heading(title: str, *about: str | Markup) -> Markup:
    """A view's title, followed by remarks; empty ones are left out, and a remark that is Markup is not changed."""
    remarks = (
        each if isinstance(each, Markup) else tag("span", each, class_="quiet") for each in about if each
    )
    return tag("div", tag("h3", title), *remarks, class_="head")


def scale(low: str, high: str, step: int = 10, kind: str = "scale") -> Markup:
    """A legend of shades from 0 to 100 %, between the words for its two ends."""
    shades = (tag("i", class_="token", style=f"--v:{share}") for share in range(0, 101, step))
    return tag("span", low, *shades, high, class_=kind)


def figures(items: Iterable[tuple[str, str, str | None]]) -> Markup:
    """Figures in a row: (value, name, unit) each; None for no unit."""
    drawn = (
        tag("div", tag("b", value), tag("span", name), tag("small", unit) if unit else None)
        for value, name, unit in items
    )
    return tag("div", *drawn, class_="figures")


def table(columns: Sequence[str], rows: Iterable[Markup]) -> Markup:
    """A plain table; `row` makes its rows."""
    head = tag("tr", *(tag("th", name, scope="col") for name in columns))
    return tag("div", tag("table", tag("thead", head), tag("tbody", *rows), class_="plain"), class_="wide")


def row(cells: Iterable[str | Markup], kind: str | None = None) -> Markup:
    """A row of a table."""
    return tag("tr", *(tag("td", cell) for cell in cells), class_=kind)
