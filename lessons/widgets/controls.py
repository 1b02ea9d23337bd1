"""Controls in one style: each with its name before it, its meaning on hover, and silent until it is let go."""

from __future__ import annotations

import math

import ipywidgets as widgets
from ipywidgets import Layout

_STYLE = {"description_width": "96px"}
_SLIDER = Layout(width="310px")
_BUTTON = Layout(width="auto", min_width="84px", margin="2px 4px 2px 0")


def whole(name: str, value: int, low: int, high: int, help: str = "", step: int = 1) -> widgets.IntSlider:
    """A slider over whole numbers low, low + step, ..., at most high."""
    return widgets.IntSlider(
        value,
        low,
        high,
        step,
        description=name,
        tooltip=help,
        continuous_update=False,
        style=_STYLE,
        layout=_SLIDER,
    )


def real(
    name: str, value: float, low: float, high: float, help: str = "", step: float = 0.05
) -> widgets.FloatSlider:
    """A slider over numbers."""
    return widgets.FloatSlider(
        value=value, min=low, max=high, step=step, description=name, tooltip=help, readout_format=".2f",
        continuous_update=False, style=_STYLE, layout=_SLIDER,
    )  # fmt: skip


def magnitude(name: str, value: float, low: float, high: float, help: str = "") -> widgets.FloatLogSlider:
    """A slider over positive numbers, on which equal ways are equal factors (ten steps for a factor of ten)."""
    return widgets.FloatLogSlider(
        value=value, base=10, min=math.log10(low), max=math.log10(high), step=0.1, description=name, tooltip=help,
        readout_format=".2g", continuous_update=False, style=_STYLE, layout=_SLIDER,
    )  # fmt: skip


def choice(name: str, options: list, value: object, help: str = "") -> widgets.Dropdown:
    """One of a list of values or (name, value) pairs."""
    return widgets.Dropdown(
        options=options, value=value, description=name, tooltip=help, style=_STYLE, layout=_SLIDER
    )


def line(name: str, value: str, help: str = "", placeholder: str = "") -> widgets.Text:
    """A line of text; it counts when the reader presses Enter or goes elsewhere."""
    return widgets.Text(
        value=value, description=name, tooltip=help, placeholder=placeholder, continuous_update=False, style=_STYLE,
        layout=Layout(width="100%", max_width="640px"),
    )  # fmt: skip


def button(name: str, help: str, kind: str = "", icon: str = "") -> widgets.Button:
    """A button; `kind` is a button style of ipywidgets, such as "primary"."""
    return widgets.Button(description=name, tooltip=help, button_style=kind, icon=icon, layout=_BUTTON)
