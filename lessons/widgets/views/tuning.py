"""What a tuning method costs before it is run, and what all runs reached for what they store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lessons.widgets.views.markup import Markup, number, percent, tag
from lessons.widgets.views.plot import Mark, axis_for, chart
from lessons.widgets.views.theme import series


@dataclass(frozen=True)
class Cost:
    """What a method would do, with the settings of this moment."""

    method: str
    acts_at: str
    """Where in the model, in words."""
    trained: int
    """Parameters that training changes."""
    stored: int
    """Parameters that have to be kept."""
    fraction: float
    """Of the base's parameters, what is stored."""
    fields: Mapping[str, str]
    """What each of the method's settings means."""


@dataclass(frozen=True)
class Reached:
    """A run, as a point."""

    index: int
    """Of the run, which gives it its colour."""
    name: str
    stored: int
    """Parameters."""
    loss: float
    """The lowest on held-out text, in nats per token."""


def cost_panel(cost: Cost | str) -> Markup:
    """The next run's method: where it acts, what it trains and stores, what its settings mean. A string is what is wrong with it."""
    if isinstance(cost, str):
        return tag("div", tag("b", "Next run: "), cost, class_="cost wrong", role="alert")
    figures = (
        tag("span", tag("b", f"{cost.trained:,}"), " parameters trained"),
        tag("span", tag("b", f"{cost.stored:,}"), f" stored, {percent(cost.fraction)} of the base"),
    )
    head = tag("p", "Next run: ", tag("b", cost.method), f", acts at: {cost.acts_at}")
    told = [tag("dt", name.replace("_", " ")) + tag("dd", text) for name, text in cost.fields.items()]
    fields = tag("dl", *map(Markup, told)) if told else None
    return tag("div", head, tag("p", *figures, class_="counts"), fields, class_="cost")


def quality_chart(reached: Sequence[Reached]) -> Markup | None:
    """A point a run: stored parameters to the right, loss upwards; nothing to compare before the second."""
    if len(reached) < 2:
        return None
    ranked = sorted(reached, key=lambda each: each.stored)
    marks = [Mark(each.stored, each.loss, each.name, series(each.index)) for each in ranked]
    x = axis_for([each.stored for each in ranked], log=True)
    y = axis_for([each.loss for each in ranked])
    words = {}
    for each in ranked:
        words.setdefault(each.stored, []).append(f"{each.name}: {number(each.loss, 4)}")
    readouts = [(stored, f"{stored:,} stored · {'; '.join(told)}") for stored, told in words.items()]
    label = f"Held-out loss over stored parameters: {'. '.join(text for _, text in readouts)}"
    title = "Lowest held-out loss over stored parameters"
    return chart([], x, y, label, title=title, marks=marks, readouts=readouts)
