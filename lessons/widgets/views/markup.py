"""HTML as text: nothing is inserted unescaped, and the same data always give the same characters."""

from __future__ import annotations

import hashlib
import html
import math

from lessons.widgets.views.theme import style


class Markup(str):
    """Text that is HTML already, and safe: `tag` inserts it as it is, and escapes any other text."""

    __slots__ = ()


def escape(text: object) -> Markup:
    """Text as HTML that shows it, in an element or in a quoted attribute; Markup stays as it is."""
    return text if isinstance(text, Markup) else Markup(html.escape(str(text), quote=True))


def join(*parts: object) -> Markup:
    """Parts one after the other, escaped unless they are Markup; None is nothing."""
    return Markup("".join(escape(part) for part in parts if part is not None))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element: `tag("p", "a < b", class_="note")` is `<p class="note">a &lt; b</p>`.

    In attribute names a trailing underscore falls away and others become dashes. None and False leave an attribute out,
    True writes its bare name.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in ("br", "hr", "path", "rect", "line", "circle"):
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(value)}"'


def view(name: str, label: str, *children: object, sheets: tuple[str, ...] = ()) -> Markup:
    """A whole view: its style sheet and its parts, as one element that says in words what it shows.

    Args:
        name: class of the element, which the view's own style sheet refers to.
        label: the text alternative, read out by screen readers.
        sheets: style sheets besides the common one; see `theme.style`.
    """
    sheet = Markup(f"<style>{style(*sheets)}</style>")
    return tag("section", sheet, *children, class_=f"minilm {name}", aria_label=label)


def identifier(*data: object) -> str:
    """An id that depends on the data alone, for elements that must refer to each other."""
    return "m" + hashlib.sha256(repr(data).encode()).hexdigest()[:10]


def fixed(value: float) -> str:
    """A coordinate, to two decimals at most."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def number(value: float | None, digits: int = 3) -> str:
    """A figure for people: `number(0.003)` is "0.003", `number(12345)` "12,345"; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(value)))
    if -4 <= magnitude < digits:
        return f"{value:.{max(digits - 1 - magnitude, 0)}f}"
    return f"{value:,.0f}" if 0 < magnitude < 9 else f"{value:.{digits - 1}e}"


def percent(share: float | None) -> str:
    """A share for people: `percent(0.042)` is "4.2 %", `percent(0.4)` "40 %"."""
    if share is None or not math.isfinite(share):
        return "–"
    return f"{100 * share:.1f}\u202f%" if abs(share) < 0.0995 else f"{100 * share:.0f}\u202f%"


def duration(seconds: float | None) -> str:
    """A time for people: "0.4 s", "18 s", "2 min 05 s", "1 h 10 min"."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
