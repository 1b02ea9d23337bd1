"""A drawing: an SVG with a caption, which a notebook shows as it is, in the light theme and in the dark one.

On a page it is inline SVG that takes its colors from the page's theme. Where a page removes style sheets and inline SVG
(an untrusted notebook in JupyterLab), the same drawing is left as an image, and its caption.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from lessons.widgets.drawings.labels import visible
from lessons.widgets.drawings.shapes import Box, rectangle
from lessons.widgets.views.markup import Markup, escape, join, tag
from lessons.widgets.views.theme import DARK, LIGHT, minify, variables

WIDTH = 720.0
"""Of every drawing, in its own units: about the pixels of a narrow notebook cell."""
LARGEST = 25_000
"""Bytes of a drawing with its still image; a larger one goes without."""


@dataclass(frozen=True)
class Drawing:
    """A finished drawing."""

    name: str
    """A word for it."""
    caption: str
    """One sentence, which stands below it and is its name for a screen reader."""
    description: str
    """What there is to see, in words."""
    height: float
    """Of the drawing, whose width is `WIDTH`."""
    parts: Markup
    """What is drawn, the lowest first."""

    @property
    def html(self) -> Markup:
        """The drawing as an element of a page, its style sheet included."""
        still = quote(self._file(), safe=" /:;,=()@!*+?[]^{}|~.-_$")
        words = f'alt="{escape(self.caption)}" class="dr-still"'
        image = Markup(f'<img src="data:image/svg+xml,{still}" {words}/>')
        whole = self._section(image)
        return whole if len(whole.encode()) <= LARGEST else self._section(None)

    def _section(self, still: Markup | None) -> Markup:
        return tag(
            "section",
            Markup(f"<style>{sheet('picture', 'page')}</style>"),
            tag("div", self._picture(*self._words()), class_="dr-canvas", hidden="hidden"),
            still,
            tag("p", self.caption),
            class_="minilm drawing",
            aria_label=self.caption,
        )

    @property
    def svg(self) -> Markup:
        """The drawing as a file of its own; the reader's system says whether it is light or dark."""
        return self._file(*self._words())

    def _file(self, *words: Markup) -> Markup:
        style = Markup(f"<style>{sheet('picture')}</style>")
        ground = rectangle(Box(0, 0, WIDTH, self.height), "paper", 0)
        return self._picture(
            *words, style, ground, xmlns="http://www.w3.org/2000/svg", class_="minilm drawing"
        )

    def _picture(self, *before: Markup, **attributes: str) -> Markup:
        box = f"0 0 {WIDTH:g} {self.height:g}"
        return tag("svg", *before, self.parts, viewBox=box, role="img", **attributes)

    def _words(self) -> tuple[Markup, Markup]:
        return tag("title", self.caption), tag("desc", self.description)

    def _repr_html_(self) -> str:
        return str(self.html)

    def __str__(self) -> str:
        return str(self.html)

    def __repr__(self) -> str:
        return f"Drawing({self.name!r})"


def drawing(name: str, caption: str, description: str, height: float, *parts: Markup | None) -> Drawing:
    """A drawing of some parts, the lowest first; in its words, characters without a shape appear as their code."""
    return Drawing(name, visible(caption), visible(description), height, join(*parts))


@functools.cache
def sheet(*names: str) -> str:
    """The style sheets `NAME.css`, and the colors that they use in both themes."""
    rules = "".join(
        minify(Path(__file__).with_name(f"{name}.css").read_text(encoding="utf-8")) for name in names
    )
    light, dark = (f".minilm.drawing{{{_used(variables(theme), rules)}}}" for theme in (LIGHT, DARK))
    by_system = f"{light}@media (prefers-color-scheme:dark){{{dark}}}"
    by_page = _on("light", light, "true") + _on("dark", dark, "false")
    return by_system + (by_page if "page" in names else "") + rules


def _on(theme: str, rule: str, is_light: str) -> str:
    """A theme's rule where JupyterLab, nbconvert or VS Code say that this theme is on."""
    selector, brace, colors = rule.partition("{")
    pages = (f'body[data-jp-theme-light="{is_light}"]', f"body.vscode-{theme}")
    return ",".join(f"{page} {selector}" for page in pages) + brace + colors


def _used(declarations: str, rules: str) -> str:
    """The declarations of variables that the rules refer to."""
    each = (declaration.partition(":") for declaration in declarations.split(";"))
    return "".join(f"{name}:{value};" for name, _, value in each if f"var({name})" in rules)
