"""The one way to draw a token: what is invisible gets a sign, what could harm the page or its layout is disarmed."""

from __future__ import annotations

import unicodedata

from lessons.widgets.views.markup import Markup, escape, tag

SIGNS = {" ": "␣", "\n": "↵", "\r": "␍", "\t": "⇥"}
"""What stands for characters that leave no mark."""

_NO_SHAPE = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"}


def visible(token: str | bytes) -> Markup:
    """A token's text as HTML.

    Blanks become faint signs, characters without a shape (controls, zero-width, direction marks) their code, bytes that are
    not UTF-8 on their own their hexadecimal. Right-to-left text is isolated, so it cannot reorder its surroundings.
    """
    text = token.decode("utf-8", "surrogateescape") if isinstance(token, bytes) else token
    if text.isascii() and text.isprintable() and " " not in text:
        return escape(text)  # the common case, without a look at every character
    return tag("bdi", *(_character(character, at) for at, character in enumerate(text)))


def prose(text: str) -> Markup:
    """A running text as HTML: blanks and line ends stay what they are, anything else without a shape is shown as its code."""
    return tag("bdi", *(c if c in " \n\t" else _character(c, at) for at, c in enumerate(text)))


def isolated(token: str | bytes) -> Markup:
    """The same, always as one element of its own."""
    shown = visible(token)
    return shown if shown.startswith("<bdi>") else tag("bdi", shown)


def spoken(token: str | bytes) -> str:
    """A token's text for a text alternative: quoted, with escapes for what cannot be read out."""
    text = token.decode("utf-8", "backslashreplace") if isinstance(token, bytes) else token
    shown = (c if c == " " or unicodedata.category(c) not in _NO_SHAPE else f"[{_code(c)}]" for c in text)
    return f"“{''.join(shown)}”"


def token(text: str | bytes, shade: float | None = None, *children: object, **attributes: object) -> Markup:
    """A token as a box. `shade` 0..1 colours it on the sequential scale."""
    style = None if shade is None else f"--v:{100 * min(max(shade, 0.0), 1.0):.0f}"
    return tag(
        "span", visible(text), *children, **{"class_": "token", "style": style, "dir": "ltr", **attributes}
    )


def _character(character: str, at: int) -> Markup:
    if character in SIGNS:
        return tag("i", SIGNS[character], class_="sign")
    category = unicodedata.category(character)
    if category in _NO_SHAPE:
        return tag("i", _code(character), class_="code")
    if category.startswith("M") and at == 0:
        return escape("◌" + character)  # an accent without its letter would sit on the box's edge
    return escape(character)


def _code(character: str) -> str:
    point = ord(character)
    return f"{point - 0xDC00:02X}" if 0xDC80 <= point <= 0xDCFF else f"U+{point:04X}"
