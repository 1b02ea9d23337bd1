"""HTML as safe text: every text is escaped and disarmed before it is inserted, and equal data give equal HTML.

Disarmed means that characters without a shape of their own (controls such as NUL, zero-width characters, direction
marks) appear as their code, so that no name, setting or error message can hide text or reorder the text around it.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata

from markupsafe import Markup, escape

from lessons.widgets.views.theme import style

__all__ = [
    "CODE_FORM", "Codes", "Markup", "code", "disarm", "escape", "identifier", "join", "plain", "tag", "view"
]  # fmt: skip

_SHAPELESS = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})
"""Unicode categories of characters without a shape: controls, formats, unassigned, private, surrogates, separators."""
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
_EMPTY_ELEMENTS = ("br", "hr", "path", "rect", "line", "circle")


class Codes(dict[int, str]):
    """A table for `str.translate` that replaces characters without a shape by their code; it fills itself.

    Args:
        form: how a code is written, such as "[{}]".
        kept: characters that stay what they are.
        others: Unicode categories of further characters that are replaced.
    """

    def __init__(self, form: str, kept: str = "\n\t", *others: str):
        super().__init__()
        self.form, self.kept, self.replaced = form, kept, _SHAPELESS.union(others)

    def __missing__(self, point: int) -> str:
        character = chr(point)
        is_kept = character in self.kept or unicodedata.category(character) not in self.replaced
        self[point] = character if is_kept else self.form.format(code(character))
        return self[point]


CODE_FORM = '<i class="code">{}</i>'
_IN_HTML, _IN_TEXT = Codes(CODE_FORM), Codes("[{}]")


def disarm(text: object) -> Markup:
    """Text as escaped HTML: characters without a shape appear as their code, right-to-left text is isolated.

    Line ends and tabs stay what they are. Markup is returned unchanged.
    """
    if isinstance(text, Markup):
        return text
    characters = str(text)
    if (
        characters.isascii() and characters.isprintable()
    ):  # the common case, without a look at every character
        return escape(characters)
    shown = Markup(escape(characters).translate(_IN_HTML))
    return Markup(f"<bdi>{shown}</bdi>") if _RIGHT_TO_LEFT.search(shown) else shown


def plain(text: object) -> str:
    """Text for attributes, controls and terminals: characters without a shape appear as "[U+202E]"."""
    characters = str(text)
    return characters if characters.isprintable() else characters.translate(_IN_TEXT)


def code(character: str) -> str:
    """A character's code, such as "U+202E"; "FF" for a byte that is not UTF-8 (a surrogate escape of Python's)."""
    point = ord(character)
    return f"{point - 0xDC00:02X}" if 0xDC80 <= point <= 0xDCFF else f"U+{point:04X}"


def join(*parts: object) -> Markup:
    """Parts one after the other, escaped and disarmed; None is left out."""
    return Markup("".join(disarm(part) for part in parts if part is not None))


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """An element: `tag("p", "a < b", class_="note")` is `<p class="note">a &lt; b</p>`.

    Children and attribute values are escaped and disarmed; a child that is None is left out. In attribute names a
    trailing underscore is dropped and other underscores become dashes. An attribute whose value is None or False is
    left out; True writes its bare name.
    """
    written = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _EMPTY_ELEMENTS:
        return Markup(f"<{name}{written}/>")
    return Markup(f"<{name}{written}>{join(*children)}</{name}>")


def view(name: str, label: str, *children: object, sheets: tuple[str, ...] = ()) -> Markup:
    """A complete view: its style sheet and its parts, in one element with a text alternative.

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


def _attribute(key: str, value: object) -> str:
    if value is None or value is False:
        return ""
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{escape(plain(value))}"'
