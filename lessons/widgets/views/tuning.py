"""What a tuning method costs before it is run, and the loss that each run reached for what it stores."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lessons.widgets.views.markup import Markup, join, tag
from lessons.widgets.views.numbers import number, percent
from lessons.widgets.views.plot import Mark, axis_for, chart
from lessons.widgets.views.theme import series
from minilm.tuning import Count


@dataclass(frozen=True)
class Cost:
    """What a method costs with some settings."""

    method: str
    """Its name."""
    acts_at: str
    """Where in the model it acts, in words."""
    count: Count
    """Its parameters."""
    fields: Mapping[str, str]
    """The method's settings, and what each of them means."""


@dataclass(frozen=True)
class Reached:
    """A run's result, as a point of the chart."""

    number: int
    """Of the run, which gives it its color."""
    name: str
    """Name of the run."""
    stored: int
    """Number of stored parameters."""
    loss: float
    """Lowest loss on held-out text, in nats per token."""


def cost_panel(cost: Cost | str) -> Markup:
    """The next run's method: where it acts, what it trains and stores, what its settings mean.

    Args:
        cost: a string says why there can be no run with these settings.
    """
    if isinstance(cost, str):
        return tag("div", tag("b", "Next run: "), cost, class_="cost wrong", role="alert")
    counts = (
        tag("span", tag("b", f"{cost.count.trained:,}"), " parameters trained"),
        tag(
            "span", tag("b", f"{cost.count.stored:,}"), f" stored, {percent(cost.count.fraction)} of the base"
        ),
    )
    head = tag("p", "Next run: ", tag("b", cost.method), f", acts at: {cost.acts_at}")
    meanings = [
        join(tag("dt", name.replace("_", " ")), tag("dd", text)) for name, text in cost.fields.items()
    ]
    fields = tag("dl", *meanings) if meanings else None
    return tag("div", head, tag("p", *counts, class_="counts"), fields, class_="cost")


def quality_chart(reached: Sequence[Reached]) -> Markup | None:
    """A point for each run: stored parameters to the right, loss upwards. None if there are fewer than two runs."""
    if len(reached) < 2:
        return None
    ranked = sorted(reached, key=lambda each: each.stored)
    marks = [Mark(each.stored, each.loss, each.name, series(each.number)) for each in ranked]
    x = axis_for([each.stored for each in ranked], log=True)
    y = axis_for([each.loss for each in ranked])
    names: dict[int, list[str]] = defaultdict(list)
    for each in ranked:
        names[each.stored].append(f"{each.name}: {number(each.loss, 4)}")
    readouts = [(stored, f"{stored:,} stored · {'; '.join(runs)}") for stored, runs in names.items()]
    label = f"Held-out loss over stored parameters: {'. '.join(text for _, text in readouts)}"
    title = "Lowest held-out loss over stored parameters"
    return chart([], x, y, label, title=title, marks=marks, readouts=readouts)
