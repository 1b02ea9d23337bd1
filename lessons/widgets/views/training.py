"""A training run as one looks at it: how far it is, how well it does, what it writes; and several runs side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lessons.widgets.views.markup import Markup, duration, number, percent, tag, view
from lessons.widgets.views.plot import Axis, Level, Line, axis_for, chart, smooth, thin
from lessons.widgets.views.run import Run
from lessons.widgets.views.theme import series
from lessons.widgets.views.tokens import prose
from minilm.training import EvaluationRecord

SAMPLES_SHOWN = 6
_STATES = {
    "waiting": "not started yet",
    "running": "training",
    "stopped": "stopped; what was learnt is kept",
    "finished": "finished",
    "failed": "failed",
}


def training_view(
    runs: Sequence[Run],
    floor: float | None = None,
    title: str = "Training",
    *,
    before: Markup | None = None,
    after: Markup | None = None,
) -> Markup:
    """The dashboard: the newest run in full, older ones as curves and as rows of a table.

    Args:
        runs: oldest first.
        floor: entropy of the text in nats per token, below which no held-out loss can stay.
        before, after: what else is shown above the newest run, and below the table of all.
    """
    run = runs[-1] if runs else Run(name="")
    parts = [
        _head(run, title),
        before,
        _progress(run),
        _figures(run, floor),
        tag("div", _loss(runs, floor), _samples(run), class_="columns"),
        tag("div", *_small(run, len(runs) - 1), class_="smalls") if run.records else None,
        _table(runs, floor) if len(runs) > 1 else None,
        after,
    ]
    return view("training", describe(run, floor), *parts, sheets=("plot", "training"))


def describe(run: Run, floor: float | None = None) -> str:
    """A run in a sentence: the view's text alternative."""
    if not run.records:
        return f"Training dashboard: {_STATES[run.state]}."
    parts = [f"step {run.step} of {run.steps}", f"training loss {number(run.train_loss)} nats per token"]
    if run.held_out_loss is not None:
        parts.append(f"held-out loss {number(run.held_out_loss)}")
    if floor:
        parts.append(f"entropy floor {number(floor)}")
    return f"Training of {run.name}: {_STATES[run.state]}; {', '.join(parts)}."


def _head(run: Run, title: str) -> Markup:
    about = [run.name, run.settings, f"{run.n_parameter:,} parameters" if run.n_parameter else ""]
    state = tag("span", _STATES[run.state], class_=f"state {run.state}")
    if run.state == "running" and run.hint:
        about.append(run.hint)
    return tag(
        "div",
        tag("h3", title),
        state,
        tag("span", " · ".join(filter(None, about)), class_="quiet"),
        class_="head",
    )


def _progress(run: Run) -> Markup:
    share = run.step / run.steps if run.steps else 0.0
    bar = tag("div", tag("i", style=f"width:{100 * share:.1f}%"), class_=f"bar {run.state}", role="progressbar",
              aria_label="steps taken", aria_valuemin=0, aria_valuemax=run.steps or 1, aria_valuenow=run.step)  # fmt: skip
    words = f"step {run.step:,} of {run.steps:,}" if run.steps else "no step taken yet"
    if run.state == "running" and run.seconds_left is not None:
        words += f" · {duration(run.seconds_left)} left"
    elif run.records:
        words += f" · took {duration(run.records[-1].seconds)}"
    return tag("div", bar, tag("span", words), class_="advance")


def _figures(run: Run, floor: float | None) -> Markup:
    loss = run.held_out_loss if run.held_out_loss is not None else run.train_loss
    perplexity = math.exp(loss) if loss is not None and loss < 50 else None
    figures = [
        (number(run.held_out_loss, 4), "held-out loss", "nats per token"),
        (number(run.train_loss, 4), "training loss", "nats per token"),
        *([(percent(run.gap(floor)), "above the floor", "held-out loss")] if floor else []),
        (number(perplexity), "perplexity", "effective choices"),
        (number(run.tokens_per_second), "speed", "tokens per second"),
    ]
    return tag("div", *(_figure(*figure) for figure in figures), class_="figures")


def _figure(value: str, name: str, unit: str) -> Markup:
    return tag("div", tag("b", value), tag("span", name), tag("small", unit))


def _keys(runs: Sequence[Run]) -> list[tuple[str, str]]:
    if len(runs) > 1:
        return [(series(i), run.name) for i, run in enumerate(runs)]
    return [(series(0), "held-out text"), (_pale(series(0)), "training batches")]


def _pale(colour: str) -> str:
    return f"color-mix(in oklab,{colour} 45%,var(--mlm-paper))"


def _loss(runs: Sequence[Run], floor: float | None) -> Markup:
    lines, shown = [], []
    for i, run in enumerate(runs):
        curves = _loss_lines(run, series(i), alone=len(runs) == 1)
        lines += curves
        shown += [value for line in curves for value in (smooth(line.y) if line.kind == "faint" else line.y)]
    x = _steps(max([run.steps for run in runs if run.steps], default=100))
    y = axis_for(shown, log=True, include=[floor] if floor else [])
    levels = [Level(floor, f"entropy floor {number(floor)}")] if floor else []
    label = f"Loss over steps, {', '.join(describe(run, floor) for run in runs) or 'nothing yet'}"
    return chart(lines, x, y, label, title="Loss in nats per token, over steps", keys=_keys(runs), levels=levels,
                 readouts=_readouts(runs[-1]) if runs else ())  # fmt: skip


def _loss_lines(run: Run, colour: str, alone: bool) -> list[Line]:
    """A run's curves: training loss raw (faint) and smoothed, held-out loss with its points."""
    steps, losses = [r.step for r in run.records], [r.loss for r in run.records]
    held_out = run.held_out
    lines = [Line(*thin(steps, losses), colour, "faint")]
    if alone or not held_out:
        lines.append(Line(*thin(steps, smooth(losses)), _pale(colour) if held_out else colour))
    if held_out:
        lines.append(Line([step for step, _ in held_out], [loss for _, loss in held_out], colour, "dots"))
    return lines


def _readouts(run: Run) -> list[tuple[float, str]]:
    held_out = run.held_out
    readouts, at = [], 0
    for step, loss in zip(
        *thin([r.step for r in run.records], smooth([r.loss for r in run.records]), 60), strict=True
    ):
        while at + 1 < len(held_out) and held_out[at + 1][0] <= step:
            at += 1
        known = f" · held-out {number(held_out[at][1])}" if held_out and held_out[at][0] <= step else ""
        readouts.append((step, f"step {step:,.0f} · training {number(loss)}{known}"))
    return readouts


def _small(run: Run, index: int) -> list[Markup]:
    """Learning rate, gradient norm and speed of the newest run."""
    steps = [record.step for record in run.records]
    quantities = (
        ("learning rate", [r.learning_rate for r in run.records], False),
        ("gradient norm", [r.gradient_norm for r in run.records], True),
        ("tokens per second", [r.tokens_per_second for r in run.records], False),
    )
    x = _steps(run.steps)
    return [
        chart([Line(*(points := thin(steps, values)), series(index))], x, _small_axis(points[1], log),
              f"{name} over steps, now {number(values[-1])}", title=name, small=True)
        for name, values, log in quantities
    ]  # fmt: skip


def _steps(steps: int) -> Axis:
    """From 0 to the last step, with room for the first and the last point."""
    return Axis(-0.012 * max(steps, 1), 1.012 * max(steps, 1))


def _small_axis(values: Sequence[float], log: bool) -> Axis:
    return axis_for(values, log=True) if log else axis_for(values, include=[0.0])


def _samples(run: Run) -> Markup:
    """The newest samples, and below them the one from before the first step."""
    texts = [each for each in reversed(run.evaluations) if each.sample is not None]
    head = tag("h4", "What the model writes, newest first")
    if not texts:
        empty = tag("p", "Here the model will write, again and again, as it learns.", class_="quiet")
        return tag("div", head, empty, class_="samples")
    first = texts.pop() if len(texts) > 1 else None
    items = [_sample(each, "li") for each in texts[:SAMPLES_SHOWN]]
    body = tag("ol", *items, tabindex="0", aria_label="samples, newest first")
    return tag("div", head, body, _sample(first, "div") if first else None, class_="samples")


def _sample(made: EvaluationRecord, element: str) -> Markup:
    when = "before" if made.step == 0 else f"step {made.step:,}"
    return tag(element, tag("span", when, class_="step"), tag("p", prose(made.sample)), class_="sample")


def _table(runs: Sequence[Run], floor: float | None) -> Markup:
    heads = [
        "run",
        "parameters",
        "steps",
        "training loss",
        "held-out loss",
        *(["above floor"] if floor else []),
        "time",
    ]
    rows = [tag("tr", *(tag("td", cell) for cell in _row(i, run, floor))) for i, run in enumerate(runs)]
    head = tag("thead", tag("tr", *(tag("th", name, scope="col") for name in heads)))
    return tag("div", tag("table", head, tag("tbody", *rows), class_="plain"), class_="wide")


def _row(index: int, run: Run, floor: float | None) -> list[Markup | str]:
    key = tag("i", class_="swatch", style=f"background:{series(index)}")
    name = tag("span", key, run.name, tag("span", f" {run.settings}", class_="quiet"))
    row = [
        name,
        f"{run.n_parameter:,}",
        f"{run.step:,}",
        number(run.train_loss, 4),
        number(run.held_out_loss, 4),
    ]
    seconds = run.records[-1].seconds if run.records else None
    return [*row, *([percent(run.gap(floor))] if floor else []), duration(seconds)]
