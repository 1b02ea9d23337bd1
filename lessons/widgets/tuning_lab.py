"""Tuning under the reader's hands: pick a method, turn its own sliders, run, stop, compare."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from ipywidgets import Layout

from lessons.widgets.lab import Experiment, Lab, LabRun
from lessons.widgets.tuning_settings import KNOBS, RATES, TuningSettings, docs, make_controls, method_of
from lessons.widgets.views.training import training_view
from lessons.widgets.views.tuning import Cost, Reached, cost_panel, quality_chart
from minilm import MiniLM, ModelConfig
from minilm.evaluation.perplexity import mean_loss
from minilm.objectives import Completions
from minilm.tuning import TunedModel, attach, count_on, load

EVALUATIONS = 10
BATCH_SIZE = 8


class TuningLab(Lab):
    """A training dashboard on which the reader tunes one frozen model in many ways; all runs are overlaid.

        lab = TuningLab(model, training, held_out, sample=write)
        lab.run(method="lora", rank=4)     # trains in this cell; Run does it in the background
        lab.model, lab.kept, lab.table()   # the newest run's model; all runs; what each of them cost and reached
        lab.save("my-run")                 # for lab.load("my-run"), and for minilm.tuning.load(model, "my-run")

    Picking a method shows its own sliders, made from its documented fields, and moves the learning rate to one that suits it.

    Args:
        model: the base; it is frozen, and every run stands on the same one.
        training, held_out: token ids of prompt and target of each example.
        sample: a text that a tuned model makes, shown beside each evaluation.
        settings: where the sliders stand at first.
        methods: names to choose from; None offers all.
        device: where to train, as `TrainingConfig.device`.
    """

    def __init__(
        self,
        model: MiniLM,
        training: Sequence[tuple[Sequence[int], Sequence[int]]],
        held_out: Sequence[tuple[Sequence[int], Sequence[int]]],
        *,
        sample: Callable[[object], str],
        settings: TuningSettings | None = None,
        methods: Sequence[str] | None = None,
        device: str = "auto",
        title: str = "Tuning lab",
    ):
        self.base, self.training, self.held_out, self.sample = model, training, held_out, sample
        self.device = device
        settings = settings or TuningSettings()
        offered = list(methods or KNOBS)
        super().__init__(settings, make_controls(settings, offered, model.config.d_model), None, title)
        self.sliders["method"].observe(lambda change: self.suit(), names="value")
        self.show_own()

    def suit(self) -> None:
        """After another method was picked: its own sliders, and a learning rate for it."""
        self.sliders["learning_rate"].value = RATES[self.sliders["method"].value]
        self.show_own()

    def show_own(self) -> None:
        """Show the sliders that the method has, each with what the method says about it."""
        told = docs(self.sliders["method"].value)
        for knob in self.sliders.keys() - {"method", "learning_rate", "steps"}:
            slider = self.sliders[knob]
            slider.layout = Layout(width=slider.layout.width, display=None if knob in told else "none")
            slider.tooltip = told.get(knob, "")

    def view(self) -> str:
        after = quality_chart(self.reached())
        return training_view(self.runs, self.floor, self.title, before=cost_panel(self.cost()), after=after)

    def still(self) -> str:
        return training_view(self.runs, self.floor, self.title, after=quality_chart(self.reached()))

    def cost(self) -> Cost | str:
        """What a run would train and store, as the controls stand; or why there can be none."""
        try:
            return cost_of(self.base.config, self.settings)
        except ValueError as error:
            return str(error)

    def reached(self) -> list[Reached]:
        """The runs that were kept, as points."""
        order = {run.name: index for index, run in enumerate(self.runs)}
        return [
            Reached(
                order[run.name], f"{run.name} {run.settings.method}", run.model.count().stored, lowest(run)
            )
            for run in self.kept
        ]

    def run(self, **changes: Any) -> LabRun:
        """As `Lab.run`; a method given without a learning rate comes with its own."""
        suited = {"learning_rate": RATES[changes["method"]]} if changes.get("method") in RATES else {}
        return super().run(**{**suited, **changes})

    def experiment(self, settings: TuningSettings) -> Experiment:
        torch.manual_seed(0)
        method = method_of(settings)
        tuned = attach(self.base, method)
        config = method.recipe(
            steps=settings.steps,
            learning_rate=settings.rate,
            warmup_steps=settings.steps // 10,
            label_smoothing=0.0,  # it would blur the loss that the runs are compared by
            evaluate_every=max(1, settings.steps // EVALUATIONS),
            device=self.device,
        )
        return Experiment(
            tuned, Completions(self.training, BATCH_SIZE, tuned.window), config, self.loss, self.sample
        )

    def write(self, model: TunedModel, folder: Path) -> None:
        model.save(folder)

    def read(self, folder: Path) -> TunedModel:
        return load(self.base, folder)

    def loss(self, model) -> float:
        """Mean loss on the held-out targets, in nats per token."""
        return mean_loss(model, Completions(self.held_out, 2 * BATCH_SIZE, model.window).in_order())

    def table(self):
        """A pandas table with a row for each run: its settings, what it trained and stored, and its lowest loss."""
        import pandas as pd

        rows = [
            {
                "settings": str(run.settings),
                "trained": run.model.count().trained,
                "stored": run.model.count().stored,
                "of the base": f"{run.model.count().fraction:.2%}",
                "held-out loss": round(lowest(run), 3),
            }
            for run in self.kept
        ]
        return pd.DataFrame(rows, index=[run.name for run in self.kept])


@functools.lru_cache(maxsize=256)
def cost_of(shape: ModelConfig, settings: TuningSettings) -> Cost:
    """What a method costs on a base of this shape. Raises ValueError for settings that do not fit it."""
    method = method_of(settings)
    count = count_on(shape, method)
    return Cost(
        settings.method, method.acts_at, count.trained, count.stored, count.fraction, docs(settings.method)
    )


def lowest(run: LabRun) -> float:
    """Its lowest held-out loss, in nats per token."""
    return min(each.loss for each in run.result.evaluations)
