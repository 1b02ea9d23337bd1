"""One visual language for all views and figures: two themes, one set of scales, one type scale.

A view is drawn once and looks right in both themes: it names colors by role (`--mlm-ink`), and the style sheet gives each
role its color in the light theme and in the dark one. JupyterLab and nbconvert say which theme is on
(`data-jp-theme-light`), VS Code too (`vscode-dark`); elsewhere the system's preference decides.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, fields
from pathlib import Path

from coloraide import Color

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Theme:
    """A color for every role, each written "#rrggbb"."""

    paper: str
    """Background of views; zero of both scales."""
    panel: str
    """Background of what is set off from the paper."""
    line: str
    """Grid lines and borders."""
    ink: str
    """Text."""
    quiet: str
    """Text that explains."""
    strong: str
    """One, on the sequential scale."""
    positive: str
    """Plus one, on the diverging scale."""
    negative: str
    """Minus one, on the diverging scale."""
    good: str
    """Success."""
    bad: str
    """Errors."""
    series: tuple[str, ...]
    """One color each for runs, heads or methods: color-blind readers can tell them apart, too."""

    def sequential(self, share: float) -> str:
        """Color of a share 0..1: paper at 0, in steps of equal visual distance."""
        return mix(self.paper, self.strong, share)

    def diverging(self, value: float) -> str:
        """Color of a value -1..1: paper at 0, equally strong on either side."""
        return mix(self.paper, self.positive if value >= 0 else self.negative, abs(value))


LIGHT = Theme(
    paper="#ffffff", panel="#f5f6f8", line="#dde0e6", ink="#1c2026", quiet="#59616e",
    strong="#0a4a94", positive="#1566bd", negative="#a8430b", good="#07735f", bad="#b3261e",
    series=("#3b8ff3", "#e26e0b", "#0f8163", "#ca5aab", "#794dbd", "#856507"),
)  # fmt: skip
DARK = Theme(
    paper="#111111", panel="#1c1f24", line="#353b45", ink="#e8eaee", quiet="#a3abb8",
    strong="#8cc2ff", positive="#7fb8ff", negative="#ff9d5c", good="#3ad6b0", bad="#ff8a80",
    series=("#8ebcff", "#fda259", "#21e4b9", "#e068b1", "#9f8fff", "#ae8b0e"),
)  # fmt: skip

# Where JupyterLab has a color for a role, a reader's own Jupyter theme decides.
_JUPYTER = {"paper": "--jp-layout-color0"}


def mix(low: str, high: str, share: float) -> str:
    """The color a share 0..1 of the way from low to high, all written "#rrggbb"; a share beyond the ends is clipped.

    Colors are mixed in OKLab (Ottosson, *A perceptual color space for image processing*, 2020), where equal distances look
    equally far. CSS mixes in the same space (`color-mix(in oklab, ...)`), so a figure drawn by Python and a view colored by
    the browser agree.
    """
    return Color.interpolate([low, high], space="oklab")(share).convert("srgb").clip().to_string(hex=True)


def variables(theme: Theme) -> str:
    """The theme as CSS declarations, `--mlm-ink:#1c2026;...`; series are numbered from 0."""
    roles = {field.name: getattr(theme, field.name) for field in fields(theme) if field.name != "series"}
    colors = {name: f"var({_JUPYTER[name]},{c})" if name in _JUPYTER else c for name, c in roles.items()}
    colors |= {f"series-{number}": color for number, color in enumerate(theme.series)}
    return "".join(f"--mlm-{name}:{color};" for name, color in colors.items())


@functools.cache
def style(*sheets: str) -> str:
    """The text of a `<style>` element: both themes, the common sheet, and the sheets `NAME.css` beside this file."""
    rules = [
        f".minilm{{{variables(LIGHT)}}}",
        f"@media (prefers-color-scheme:dark){{.minilm{{{variables(DARK)}}}}}",
        f'body[data-jp-theme-light="true"] .minilm,body.vscode-light .minilm{{{variables(LIGHT)}}}',
        f'body[data-jp-theme-light="false"] .minilm,body.vscode-dark .minilm{{{variables(DARK)}}}',
    ]
    files = (FOLDER / f"{name}.css" for name in ("common", *sheets))
    sheet = "".join(minify(file.read_text(encoding="utf-8")) for file in files)
    # The class is written twice, to outweigh JupyterLab's rules for paragraphs, lists and tables. A view's own rules still
    # outweigh the shared ones, which another view further down the page repeats.
    return "".join(rules) + re.sub(r"\.minilm(?=[ .])", ".minilm.minilm", sheet)


def series(number: int) -> str:
    """CSS color of the run, head or method with this number; colors repeat when there are more numbers than colors."""
    return f"var(--mlm-series-{number % len(LIGHT.series)})"


def minify(css: str) -> str:
    """CSS without comments and unneeded blanks."""
    css = re.sub(r"/\*.*?\*/|\s+", " ", css, flags=re.DOTALL)
    return re.sub(r"\s*([{};,>])\s*|(?<=:) ", r"\1", css).strip()
