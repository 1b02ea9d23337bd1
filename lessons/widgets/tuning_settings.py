"""The settings of a tuning lab, and the controls that the methods' own documented fields ask for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import ipywidgets as widgets

from lessons.widgets import controls
from lessons.widgets.documented import field_docs
from minilm.tuning import METHODS, Method


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """What the sliders of `TuningLab` set; a method takes only those that are fields of its own."""

    method: str = "lora"
    """A name from `KNOBS`."""
    rank: int = 8
    alpha: float = 16.0
    length: int = 8
    reparameterize: bool = True
    bottleneck: int = 8
    key_bottleneck: int = 2
    value_bottleneck: int = 2
    """So far fields of the methods, which say what each of them means."""
    learning_rate: float | None = None
    """Peak rate of AdamW; None is that of `RATES`."""
    steps: int = 150
    """Optimiser steps."""

    @property
    def rate(self) -> float:
        """The learning rate, whoever chose it."""
        return RATES[self.method] if self.learning_rate is None else self.learning_rate

    def __str__(self) -> str:
        own = [f"{knob.replace('_', ' ')} {_said(getattr(self, knob))}" for knob in KNOBS[self.method]]
        return " · ".join([self.method, *own, f"rate {self.rate:.2g}"])


RATES = {
    "fine-tuning": 3e-3,
    "bitfit": 1e-2,
    "prompt": 1e-1,
    "prefix": 1e-2,
    "lora": 2e-2,
    "adapter": 1e-2,
    "parallel-adapter": 3e-2,
    "mam": 2e-2,
    "inducer": 3e-2,
    "mam-inducer": 3e-2,
}
"""Method -> a learning rate that suits small models; the papers' are for models a hundred times as large."""

FIXED = {
    "prefix": {"hidden": 128},
    "mam": {"scale": 1.0, "hidden": 128},
    "mam-inducer": {"query_rank": 4},
}
"""What suits small models too, and has no slider."""

KNOBS: dict[str, tuple[str, ...]] = {
    name: tuple(
        field.name for field in fields(METHODS[name]) if field.name in TuningSettings.__dataclass_fields__
    )
    for name in RATES
}
"""Method -> the fields of it that the lab has a control for."""

LIMITS = {
    "alpha": (1.0, 64.0),
    "length": (1, 32),
    "bottleneck": (1, 64),
    "key_bottleneck": (0, 16),
    "value_bottleneck": (1, 16),
}
"""Field -> the ends of its slider; a rank may reach the model's width."""


def method_of(at: TuningSettings) -> Method:
    """The method that the controls describe. Raises ValueError for one that the lab does not have."""
    check_method(at.method)
    own = {knob: getattr(at, knob) for knob in KNOBS[at.method]}
    return METHODS[at.method](**own, **FIXED.get(at.method, {}))


def check_method(name: str) -> str:
    """The name, if the lab has such a method. Raises ValueError if not."""
    if name not in KNOBS:
        raise ValueError(f"the lab has no method {name!r}; choose from {', '.join(KNOBS)}")
    return name


def make_controls(at: TuningSettings, methods: Sequence[str], d_model: int) -> dict[str, widgets.Widget]:
    """A control for each setting; the lab hides those that are not the method's own."""
    own = {knob: None for method in methods for knob in KNOBS[check_method(method)]}
    limits = {**LIMITS, "rank": (1, d_model)}
    return {
        "method": controls.choice("method", list(methods), at.method, "what is added to the frozen model, and where"),
        **{knob: control(knob, getattr(at, knob), limits.get(knob)) for knob in own},
        "learning_rate": controls.magnitude("learning rate", at.rate, 1e-5, 1.0, "peak, after the warm-up"),
        "steps": controls.whole("steps", at.steps, 5, 1000, "optimiser steps", step=5),
    }  # fmt: skip


def control(knob: str, value: bool | float, limits: tuple[float, float] | None) -> widgets.Widget:
    """A control for a field, by the type of its value."""
    name = knob.replace("_bottleneck", " width").replace("_", " ")
    if isinstance(value, bool):
        return controls.choice(name, [("yes", True), ("no", False)], value)
    if isinstance(value, int):
        return controls.whole(name, value, *limits)
    return controls.real(name, value, *limits, step=1.0)


def docs(method: str) -> dict[str, str]:
    """What the method says about each field that the lab has a control for."""
    told = field_docs(METHODS[method])
    return {knob: told[knob] for knob in KNOBS[method]}


def _said(value: bool | float) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else f"{value:g}"
