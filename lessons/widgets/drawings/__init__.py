"""Drawings of the architectures: a cell that ends with `drawings.transformer()` shows one.

Each is a pure function that returns a `Drawing`: inline SVG for a notebook, in the page's own light or dark theme, with a
caption; `.svg` is the same as a file of its own. Nothing is drawn by hand: boxes, arrows and text are placed by code, and
what a method's drawing shows is asked of the method.
"""

from collections.abc import Callable

from lessons.widgets.drawings.adapters import adapters
from lessons.widgets.drawings.auxiliary import auxiliary, auxiliary_features
from lessons.widgets.drawings.drawing import Drawing
from lessons.widgets.drawings.inducer import inducer, inducer_points
from lessons.widgets.drawings.lora import lora
from lessons.widgets.drawings.methods import method_drawing, sites
from lessons.widgets.drawings.prefix import prefix
from lessons.widgets.drawings.relatives import logit_relatives
from lessons.widgets.drawings.transformer import transformer
from lessons.widgets.drawings.virtual_tokens import virtual_tokens
from lessons.widgets.drawings.visibility import visibility_drawing, visibility_examples, visibility_panels

DRAWINGS: dict[str, Callable[[], Drawing]] = {
    draw.__name__: draw
    for draw in (
        transformer,
        sites,
        prefix,
        virtual_tokens,
        inducer,
        inducer_points,
        lora,
        adapters,
        auxiliary,
        auxiliary_features,
        logit_relatives,
        visibility_examples,
    )
}
"""Every drawing that takes no arguments, by the name of its function."""

__all__ = [
    "DRAWINGS",
    "Drawing",
    "adapters",
    "auxiliary",
    "auxiliary_features",
    "inducer",
    "inducer_points",
    "logit_relatives",
    "lora",
    "method_drawing",
    "prefix",
    "sites",
    "transformer",
    "virtual_tokens",
    "visibility_drawing",
    "visibility_examples",
    "visibility_panels",
]
