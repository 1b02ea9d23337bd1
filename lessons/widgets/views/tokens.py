"""The one way to draw a token: invisible characters get a sign, and nothing in it can harm the page or its layout."""

from __future__ import annotations

import unicodedata

from lessons.widgets.views.markup import CODE_FORM, Codes, Markup, escape, tag

SIGNS = {" ": "␣", "\n": "↵", "\r": "␍", "\t": "⇥"}
"""Signs shown in place of blanks, line ends and tabs."""

_SIGN = '<i class="sign">{}</i>'
_IN_TOKEN, _IN_PROSE, _SPOKEN = (
    Codes(CODE_FORM, "", "Zs"),
    Codes(CODE_FORM, " \n\t", "Zs"),
    Codes("[{}]", " ", "Zs"),
)
_IN_TOKEN.update({ord(character): _SIGN.format(sign) for character, sign in SIGNS.items()})


def visible(token: str | bytes) -> Markup:
    """A token's text as HTML.

    Blanks become faint signs, characters without a shape (controls, zero-width, direction marks) their code, bytes that are
    not UTF-8 on their own their hexadecimal. Right-to-left text is isolated, so it cannot reorder its surroundings.
    """
    text = token.decode("utf-8", "surrogateescape") if isinstance(token, bytes) else token
    if text.isascii() and text.isprintable() and " " not in text:
        return escape(text)  # the common case needs no element
    return _element(text, _IN_TOKEN)


def prose(text: str) -> Markup:
    """A running text as HTML: blanks and line ends stay what they are, other characters without a shape become their code."""
    return _element(text, _IN_PROSE)


def isolated(token: str | bytes) -> Markup:
    """A token's text as HTML, always as one `bdi` element."""
    shown = visible(token)
    return shown if shown.startswith("<bdi>") else tag("bdi", shown)


def spoken(token: str | bytes) -> str:
    """A token's text for a text alternative: in quotation marks, with codes for what cannot be read out."""
    text = token.decode("utf-8", "backslashreplace") if isinstance(token, bytes) else token
    return f"“{text.translate(_SPOKEN)}”"


def token(text: str | bytes, shade: float | None = None, *children: object, **attributes: object) -> Markup:
    """A token as a box. `shade` 0..1 colors it on the sequential scale."""
    style = None if shade is None else f"--v:{100 * min(max(shade, 0.0), 1.0):.0f}"
    return tag(
        "span", visible(text), *children, **{"class_": "token", "style": style, "dir": "ltr", **attributes}
    )


def _element(text: str, table: Codes) -> Markup:
    if unicodedata.category(text[:1] or " ").startswith("M"):
        text = "◌" + text  # an accent without its letter would sit on the box's edge
    return Markup(f"<bdi>{escape(text).translate(table)}</bdi>")
