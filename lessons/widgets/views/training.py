"""A training run: how far it is, how well it does, what the model writes; and several runs side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lessons.widgets.views.markup import Markup, tag, view
from lessons.widgets.views.numbers import duration, number, percent
from lessons.widgets.views.parts import figures, heading, row, table
from lessons.widgets.views.plot import Axis, Line, axis_for, chart, smooth, thin
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
    chosen: Run | None = None,
    before: Markup | None = None,
    after: Markup | None = None,
) -> Markup:
    """The dashboard: one run in full, the others as curves and as rows of a table.

    Args:
        runs: oldest first.
        floor: entropy of the text in nats per token: the lowest possible held-out loss.
        chosen: the run that is shown in full; None is the newest.
        before, after: shown above that run, and below the table of all runs.
    """
    run = chosen or (runs[-1] if runs else Run(name=""))
    parts = [
        _head(run, title),
        before,
        _progress(run),
        _figures(run, floor),
        tag("div", _loss(runs, run, floor), _samples(run), class_="columns"),
        tag("div", *_small(run), class_="smalls") if run.records else None,
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
    if run.state == "running":
        about.append(run.hint)
    state = tag("span", _STATES[run.state], class_=f"state {run.state}")
    return heading(title, state, " · ".join(filter(None, about)))


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
    return figures([
        (number(run.held_out_loss, 4), "held-out loss", "nats per token"),
        (number(run.train_loss, 4), "training loss", "nats per token"),
        *([(percent(run.excess(floor)), "above the floor", "held-out loss")] if floor else []),
        *([(percent(run.score), run.scored_by, "of held-out examples")] if run.scored_by else []),
        (number(perplexity), "perplexity", "effective choices"),
        (number(run.tokens_per_second), "speed", "tokens per second"),
    ])  # fmt: skip


def _keys(runs: Sequence[Run]) -> list[tuple[str, str]]:
    if len(runs) > 1:
        return [(series(run.number), run.name) for run in runs]
    color = series(runs[0].number if runs else 0)
    return [(color, "held-out text"), (_pale(color), "training batches")]


def _pale(color: str) -> str:
    return f"color-mix(in oklab,{color} 45%,var(--mlm-paper))"


def _loss(runs: Sequence[Run], chosen: Run, floor: float | None) -> Markup:
    lines = [line for run in runs for line in _loss_lines(run, series(run.number), alone=len(runs) == 1)]
    shown = [value for line in lines for value in (smooth(line.y) if line.kind == "faint" else line.y)]
    x = _steps(max([run.steps for run in runs if run.steps], default=100))
    y = axis_for(shown, log=True, include=[floor] if floor else [])
    levels = [(floor, f"entropy floor {number(floor)}")] if floor else []
    label = f"Loss over steps, {', '.join(describe(run, floor) for run in runs) or 'nothing yet'}"
    return chart(lines, x, y, label, title="Loss in nats per token, over steps", keys=_keys(runs), levels=levels,
                 readouts=_readouts(chosen) if runs else ())  # fmt: skip


def _loss_lines(run: Run, color: str, alone: bool) -> list[Line]:
    """A run's curves: training loss raw (faint) and smoothed, held-out loss with its points."""
    steps, losses = [r.step for r in run.records], [r.loss for r in run.records]
    held_out = run.held_out
    lines = [Line(*thin(steps, losses), color, "faint")]
    if alone or not held_out:
        lines.append(Line(*thin(steps, smooth(losses)), _pale(color) if held_out else color))
    if held_out:
        lines.append(Line([step for step, _ in held_out], [loss for _, loss in held_out], color, "dots"))
    return lines


def _readouts(run: Run) -> list[tuple[float, str]]:
    """Step and losses in words, for at most 60 steps."""
    held_out, at = run.held_out, 0
    readouts: list[tuple[float, str]] = []
    smoothed = thin([r.step for r in run.records], smooth([r.loss for r in run.records]), 60)
    for step, loss in zip(*smoothed, strict=True):
        while at + 1 < len(held_out) and held_out[at + 1][0] <= step:
            at += 1
        known = f" · held-out {number(held_out[at][1])}" if held_out and held_out[at][0] <= step else ""
        readouts.append((step, f"step {step:,.0f} · training {number(loss)}{known}"))
    return readouts


def _small(run: Run) -> list[Markup]:
    """Learning rate, gradient norm, speed and score of a run."""
    steps = [record.step for record in run.records]
    quantities = (
        ("learning rate", [r.learning_rate for r in run.records], False),
        ("gradient norm", [r.gradient_norm for r in run.records], True),
        ("tokens per second", [r.tokens_per_second for r in run.records], False),
    )
    x, color = _steps(run.steps), series(run.number)
    charts = [
        chart([Line(*(points := thin(steps, values)), color)], x, _small_axis(points[1], log),
              f"{name} over steps, now {number(values[-1])}", title=name, small=True)
        for name, values, log in quantities
    ]  # fmt: skip
    return [*charts, _scores(run, x, color)] if run.scores else charts


def _scores(run: Run, x: Axis, color: str) -> Markup:
    """The score at each evaluation, on an axis from 0 to 1."""
    line = Line([step for step, _ in run.scores], [score for _, score in run.scores], color, "dots")
    label = f"{run.scored_by} over steps, now {percent(run.score)}"
    return chart([line], x, Axis(0.0, 1.0), label, title=run.scored_by, small=True)


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
    text = tag("p", prose(made.sample or ""))
    return tag(element, tag("span", when, class_="step"), text, class_="sample")


def _table(runs: Sequence[Run], floor: float | None) -> Markup:
    losses = ("training loss", "held-out loss", *(["above floor"] if floor else []))
    scored = next((run.scored_by for run in runs if run.scored_by), "")
    losses = (*losses, *([scored] if scored else []))
    rows = (row(_cells(run, floor, bool(scored))) for run in runs)
    return table(("run", "parameters", "steps", *losses, "time"), rows)


def _cells(run: Run, floor: float | None, scored: bool) -> list[Markup | str]:
    key = tag("i", class_="swatch", style=f"background:{series(run.number)}")
    name = tag("span", key, run.name, tag("span", f" {run.settings}", class_="quiet"))
    losses = (number(run.train_loss, 4), number(run.held_out_loss, 4))
    excess = [percent(run.excess(floor))] if floor else []
    score = [percent(run.score)] if scored else []
    seconds = run.records[-1].seconds if run.records else None
    return [name, f"{run.n_parameter:,}", f"{run.step:,}", *losses, *excess, *score, duration(seconds)]
