"""Matplotlib figures in the style of the widgets: call `use_style()` once, at the top of a lesson."""

from __future__ import annotations

from pathlib import Path

from lessons.widgets.views.theme import LIGHT

STYLE = Path(__file__).parents[1] / "course.mplstyle"
SEQUENTIAL, DIVERGING = "minilm_sequential", "minilm_diverging"
N_SHADE = 256


def use_style() -> None:
    """Switch matplotlib to the course's style, and register its two color maps.

    `minilm_sequential` (the default) runs from white to blue in steps of equal visual distance; `minilm_diverging` runs from
    orange through white to blue, with white for zero if the limits are symmetric.
    """
    import matplotlib.style
    from matplotlib.colors import ListedColormap

    shares = [index / (N_SHADE - 1) for index in range(N_SHADE)]
    for name, colors in (
        (SEQUENTIAL, [LIGHT.sequential(share) for share in shares]),
        (DIVERGING, [LIGHT.diverging(2 * share - 1) for share in shares]),
    ):
        matplotlib.colormaps.register(ListedColormap(colors, name), force=True)
    matplotlib.style.use(STYLE)
