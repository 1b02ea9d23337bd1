"""The settings of a tuning lab, and the controls for them, which are made from the methods' documented fields."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from inspect import signature

import ipywidgets as widgets

from lessons.widgets import controls
from lessons.widgets.documented import field_docs
from minilm.tuning import METHODS, Method


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """What the sliders of `TuningLab` set; a method takes only those that are fields of its own."""

    method: str = "lora"
    """A name from `FIELDS`."""
    rank: int = 8
    alpha: float = 16.0
    length: int = 8
    reparameterize: bool = True
    bottleneck: int = 8
    key_bottleneck: int = 2
    value_bottleneck: int = 2
    """These seven are fields of the methods, which document them."""
    learning_rate: float | None = None
    """Peak rate of AdamW; None is the method's rate in `RATES`."""
    steps: int = 150
    """Optimiser steps."""

    def __post_init__(self) -> None:
        check_method(self.method)

    @property
    def rate(self) -> float:
        """The learning rate: the reader's choice, or the method's rate in `RATES`."""
        return RATES[self.method] if self.learning_rate is None else self.learning_rate

    def __str__(self) -> str:
        own = [f"{name.replace('_', ' ')} {_in_words(getattr(self, name))}" for name in FIELDS[self.method]]
        return " · ".join([self.method, *own, f"rate {self.rate:.2g}"])


NAMES = (
    "fine-tuning",
    "bitfit",
    "prompt",
    "prefix",
    "lora",
    "adapter",
    "parallel-adapter",
    "mam",
    "inducer",
    "mam-inducer",
)
"""The methods that the lab offers."""

RATES = {name: METHODS[name]().recipe().learning_rate for name in NAMES}
"""Method -> the learning rate of its recipe."""

FIXED: dict[str, dict[str, float]] = {
    "prefix": {"hidden": 128},
    "mam": {"scale": 1.0, "hidden": 128},
    "mam-inducer": {"query_rank": 4},
}
"""Method -> further settings that suit small models and have no slider."""

FIELDS: dict[str, tuple[str, ...]] = {
    name: tuple(
        field for field in signature(METHODS[name]).parameters if field in TuningSettings.__annotations__
    )
    for name in RATES
}
"""Method -> its fields that the lab has a control for."""

LIMITS: dict[str, tuple[float, float]] = {
    "alpha": (1.0, 64.0),
    "length": (1, 32),
    "bottleneck": (1, 64),
    "key_bottleneck": (0, 16),
    "value_bottleneck": (1, 16),
}
"""Field -> the ends of its slider; the end for a rank is the model's width."""


def method_of(settings: TuningSettings) -> Method:
    """The method with these settings."""
    own = {name: getattr(settings, name) for name in FIELDS[settings.method]}
    return METHODS[settings.method](**own, **FIXED.get(settings.method, {}))


def check_method(name: str) -> str:
    """The name, if the lab has such a method. Raises ValueError if not."""
    if name not in RATES:
        raise ValueError(f"the lab has no method {name!r}; choose from {', '.join(RATES)}")
    return name


def make_controls(
    settings: TuningSettings, methods: Sequence[str], d_model: int
) -> dict[str, widgets.Widget]:
    """A control for each setting; the lab hides those that the chosen method does not have."""
    own = dict.fromkeys(field for method in methods for field in FIELDS[check_method(method)])
    limits = {**LIMITS, "rank": (1, d_model)}
    return {
        "method": controls.choice("method", methods, settings.method, "what is added to the frozen model, and where"),
        **{field: control(field, getattr(settings, field), limits.get(field, (0, 1))) for field in own},
        "learning_rate": controls.magnitude("learning rate", settings.rate, 1e-5, 1.0, "peak, after the warm-up"),
        "steps": controls.whole("steps", settings.steps, 5, 1000, "optimiser steps", step=5),
    }  # fmt: skip


def control(field: str, value: bool | float, limits: tuple[float, float]) -> widgets.Widget:
    """A control for a field, by the type of its value."""
    name, (low, high) = field.replace("_bottleneck", " width").replace("_", " "), limits
    if isinstance(value, bool):
        return controls.choice(name, [("yes", True), ("no", False)], value)
    if isinstance(value, int):
        return controls.whole(name, value, int(low), int(high))
    return controls.real(name, value, low, high, step=1.0)


def docs(method: str) -> dict[str, str]:
    """What the method says about each of its fields that the lab has a control for."""
    meanings = field_docs(METHODS[method])
    return {field: meanings[field] for field in FIELDS[method]}


def _in_words(value: bool | float) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else f"{value:g}"
