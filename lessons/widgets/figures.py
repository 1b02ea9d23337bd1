"""Matplotlib figures that speak the widgets' language: `use_style()` once, at the top of a lesson."""

from __future__ import annotations

from pathlib import Path

from lessons.widgets.views.theme import LIGHT

STYLE = Path(__file__).parents[1] / "course.mplstyle"
SEQUENTIAL, DIVERGING = "minilm_sequential", "minilm_diverging"
N_SHADE = 256


def use_style() -> None:
    """Switch matplotlib to the course's style, and register its two colour maps.

    `minilm_sequential` (the default) runs from white to blue in steps even to the eye; `minilm_diverging` from orange through
    white, which is zero if the limits lie symmetrically, to blue.
    """
    import matplotlib.style
    from matplotlib.colors import ListedColormap

    shares = [index / (N_SHADE - 1) for index in range(N_SHADE)]
    for name, colours in (
        (SEQUENTIAL, [LIGHT.sequential(share) for share in shares]),
        (DIVERGING, [LIGHT.diverging(2 * share - 1) for share in shares]),
    ):
        matplotlib.colormaps.register(ListedColormap(colours, name), force=True)
    matplotlib.style.use(STYLE)
