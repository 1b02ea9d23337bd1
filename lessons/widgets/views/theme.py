"""One visual language for all views and figures: two themes, one set of scales, one type scale.

A view is drawn once and looks right in both themes: it names colours by role (`--mlm-ink`), and the style sheet gives each
role its colour in the light theme and in the dark one. JupyterLab and nbconvert say which theme is on
(`data-jp-theme-light`), VS Code too (`vscode-dark`); elsewhere the system's preference decides.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, fields
from pathlib import Path

from lessons.widgets.views.colour import mix

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Theme:
    """A colour for every role."""

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
    """What went well."""
    bad: str
    """Errors."""
    series: tuple[str, ...]
    """One colour a run, a head, a method: distinct to the colour-blind too."""

    def sequential(self, share: float) -> str:
        """Colour of a share 0..1: paper at 0, even steps to the eye."""
        return mix(self.paper, self.strong, share)

    def diverging(self, value: float) -> str:
        """Colour of a value -1..1: paper at 0, the same step of lightness to either side."""
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

# Where JupyterLab has a colour for a role, a reader's own Jupyter theme decides.
_JUPYTER = {"paper": "--jp-layout-color0"}


def variables(theme: Theme) -> str:
    """The theme as CSS declarations, `--mlm-ink:#1c2026;...`; series are numbered from 0."""
    roles = {field.name: getattr(theme, field.name) for field in fields(theme) if field.name != "series"}
    colours = {name: f"var({_JUPYTER[name]},{c})" if name in _JUPYTER else c for name, c in roles.items()}
    colours |= {f"series-{number}": colour for number, colour in enumerate(theme.series)}
    return "".join(f"--mlm-{name}:{colour};" for name, colour in colours.items())


@functools.cache
def style(*sheets: str) -> str:
    """The text of a `<style>` element: both themes, the common sheet, and the sheets `NAME.css` beside this file."""
    rules = [
        f".minilm{{{variables(LIGHT)}}}",
        f"@media (prefers-color-scheme:dark){{.minilm{{{variables(DARK)}}}}}",
        f'body[data-jp-theme-light="true"] .minilm,body.vscode-light .minilm{{{variables(LIGHT)}}}',
        f'body[data-jp-theme-light="false"] .minilm,body.vscode-dark .minilm{{{variables(DARK)}}}',
    ]
    sheet = "".join(minify(_read(name)) for name in ("common", *sheets))
    # Twice, to outweigh what JupyterLab says about paragraphs, lists and tables. A view's own rules keep outweighing the
    # shared ones, which another view further down the page repeats.
    return "".join(rules) + re.sub(r"\.minilm(?=[ .])", ".minilm.minilm", sheet)


def series(number: int) -> str:
    """CSS colour of the run, head or method with this number; they repeat when there are more than colours."""
    return f"var(--mlm-series-{number % len(LIGHT.series)})"


def minify(css: str) -> str:
    """Without comments and the blanks that only people need."""
    css = re.sub(r"/\*.*?\*/|\s+", " ", css, flags=re.DOTALL)
    return re.sub(r"\s*([{};,>])\s*|(?<=:) ", r"\1", css).strip()


def _read(name: str) -> str:
    return (FOLDER / f"{name}.css").read_text(encoding="utf-8")
