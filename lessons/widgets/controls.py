"""Controls in one style: the name before each, its meaning shown on hover, and no update before the reader lets go."""

from __future__ import annotations

import math
from collections.abc import Sequence

import ipywidgets as widgets
from ipywidgets import Layout

from lessons.widgets.views.markup import plain

_STYLE = {"description_width": "96px"}
_WIDTH = Layout(width="310px")
_BUTTON = Layout(width="auto", min_width="84px", margin="2px 4px 2px 0")


def whole(name: str, value: int, low: int, high: int, help: str = "", step: int = 1) -> widgets.IntSlider:
    """A slider over whole numbers low, low + step, ..., at most high."""
    return _slider(widgets.IntSlider, name, help, value=value, min=low, max=high, step=step)


def real(
    name: str, value: float, low: float, high: float, help: str = "", step: float = 0.05
) -> widgets.FloatSlider:
    """A slider over numbers."""
    limits = {"min": low, "max": high, "step": step}
    return _slider(widgets.FloatSlider, name, help, value=value, readout_format=".2f", **limits)


def magnitude(name: str, value: float, low: float, high: float, help: str = "") -> widgets.FloatLogSlider:
    """A logarithmic slider over positive numbers, with ten steps for a factor of ten."""
    limits = {"base": 10, "min": math.log10(low), "max": math.log10(high), "step": 0.1}
    return _slider(widgets.FloatLogSlider, name, help, value=value, readout_format=".2g", **limits)


def choice(
    name: str, options: Sequence[object | tuple[str, object]], value: object, help: str = ""
) -> widgets.Dropdown:
    """One of a list of values or (name, value) pairs; a value without a name is shown as its own text."""
    named = [each if isinstance(each, tuple) else (plain(each), each) for each in options]
    return widgets.Dropdown(
        options=named, value=value, description=name, tooltip=help, style=_STYLE, layout=_WIDTH
    )


def line(name: str, value: str, help: str = "", placeholder: str = "") -> widgets.Text:
    """A line of text; it takes effect when the reader presses Enter or leaves it."""
    return widgets.Text(
        value=value, description=name, tooltip=help, placeholder=placeholder, continuous_update=False, style=_STYLE,
        layout=Layout(width="100%", max_width="640px"),
    )  # fmt: skip


def button(name: str, help: str, kind: str = "", icon: str = "") -> widgets.Button:
    """A button; `kind` is a button style of ipywidgets, such as "primary"."""
    return widgets.Button(description=name, tooltip=help, button_style=kind, icon=icon, layout=_BUTTON)


def _slider(kind: type[widgets.Widget], name: str, help: str, **options: object) -> widgets.Widget:
    return kind(
        description=name, tooltip=help, continuous_update=False, style=_STYLE, layout=_WIDTH, **options
    )
