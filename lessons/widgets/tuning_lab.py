"""A lab for tuning: choose a method, set its own sliders, run, stop, compare."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from ipywidgets import Layout, Tab, VBox

from lessons.widgets import controls
from lessons.widgets.lab import Lab
from lessons.widgets.lab_run import Experiment, LabRun
from lessons.widgets.look import Judge, answered, look
from lessons.widgets.model_explorer import LanguageModel
from lessons.widgets.tuning_settings import RATES, TuningSettings, docs, make_controls, method_of
from lessons.widgets.views.training import training_view
from lessons.widgets.views.tuning import Cost, Reached, cost_panel, quality_chart
from minilm import MiniLM, ModelConfig
from minilm.adaptation import EncodedTask
from minilm.evaluation.perplexity import mean_loss
from minilm.objectives import Completions
from minilm.training import EvaluationRecord
from minilm.tuning import TunedModel, attach, count_on, load

if TYPE_CHECKING:
    from pandas import DataFrame

EVALUATIONS = 10
BATCH_SIZE = 8


class TuningLab(Lab[TunedModel, TuningSettings]):
    """A training dashboard on which the reader tunes one frozen model in many ways; all runs are overlaid.

        lab = TuningLab.on(model, task)    # an `EncodedTask`: its examples, its score, prompts and answers as samples
        lab.run(method="lora", rank=4)     # trains in this cell; Run does it in the background
        lab.look()                         # what tuning changed: playground, logit shift, attention, lens
        lab.model, lab.kept, lab.table()   # the newest run's model; all runs; what each of them cost and reached
        lab.save("my-run")                 # for lab.load("my-run"), and for minilm.tuning.load(model, "my-run")

    Choosing a method shows its own sliders, made from its documented fields, and sets the learning rate to one that suits it.

    Args:
        model: the base of all runs; it is frozen.
        training: token ids of prompt and target of each example.
        held_out: examples that are not trained on.
        sample: returns a text that a tuned model makes, which is shown beside each evaluation.
        settings: first values of the sliders.
        methods: names to choose from; None offers all.
        device: where to train, as `TrainingConfig.device`.
        floor: the loss that a perfect model has on the held-out examples, in nats per token, where it is known.
        title: the heading.
        task: the examples as records, by which a run is scored and looked at; see `on`.
    """

    def __init__(
        self,
        model: MiniLM,
        training: Sequence[tuple[Sequence[int], Sequence[int]]],
        held_out: Sequence[tuple[Sequence[int], Sequence[int]]],
        *,
        sample: Callable[[TunedModel], str],
        settings: TuningSettings | None = None,
        methods: Sequence[str] | None = None,
        device: str = "auto",
        floor: float | None = None,
        title: str = "Tuning lab",
        task: EncodedTask | None = None,
    ):
        self.task, self.judge = task, None if task is None else Judge(task)
        self._in_training: TunedModel | None = None
        self.base, self.training, self.held_out, self.sample = model, training, held_out, sample
        self.device = device
        settings = settings or TuningSettings()
        offered = list(methods or RATES)
        super().__init__(settings, make_controls(settings, offered, model.config.d_model), floor, title)
        self.sliders["method"].observe(lambda change: self.change_method(), names="value")
        self.show_own_sliders()
        self.look_button = controls.button("Look", "see what the shown run changed in the base", icon="eye")
        self.look_button.on_click(self.guard(self.look))
        self.looks = VBox()
        if task is not None:
            *rows, chosen, saved, output = self.box.children
            chosen.children = (*chosen.children, self.look_button)
            self.box.children = (*rows, chosen, saved, output, self.looks)

    @classmethod
    def on(cls, model: MiniLM, task: EncodedTask, **options: Any) -> TuningLab:
        """A lab for a task: scores beside losses, samples with their prompts and targets, and Look.

        Args:
            options: as for the class, without `training`, `held_out`, `sample` and `task`.
        """
        task.check(model.window)
        return cls(model, task.learned, task.judged, sample=answered(task), task=task, **options)

    def begin(self, model: TunedModel) -> None:
        self._in_training = model

    def on_evaluate(self, record: EvaluationRecord) -> None:
        if self.judge and self._in_training is not None:
            self.newest.scored_by = self.judge.name
            self.newest.scores.append((record.step, self.judge(self._in_training)))
        super().on_evaluate(record)

    def look(self, name: str = "") -> Tab:
        """The button Look: explorers of a run beside the base, below the lab.

        Args:
            name: of the run; by default the one that is shown.

        Raises:
            ValueError: no run has ended yet, there is none of this name, or the lab was made without a task.
        """
        if self.task is None:
            raise ValueError("this lab knows no records to look at: make it with TuningLab.on(model, task)")
        run = self.named(name) if name else self.chosen
        tab = look(self.base, run.model, run.name, self.task)
        self.looks.children = [tab]
        return tab

    def change_method(self) -> None:
        """After another method was chosen, show its own sliders and set a learning rate that suits it."""
        self.sliders["learning_rate"].value = RATES[self.sliders["method"].value]
        self.show_own_sliders()

    def show_own_sliders(self) -> None:
        """Show the sliders for the chosen method's fields, each with the field's documentation."""
        meanings = docs(self.sliders["method"].value)
        for field in self.sliders.keys() - {"method", "learning_rate", "steps"}:
            slider = self.sliders[field]
            slider.layout = Layout(width=slider.layout.width, display=None if field in meanings else "none")
            slider.tooltip = meanings.get(field, "")

    def view(self) -> str:
        after = quality_chart(self.reached())
        before = cost_panel(self.cost())
        return training_view(self.runs, self.floor, self.title, chosen=self.shown, before=before, after=after)

    def still(self) -> str:
        return training_view(self.runs, self.floor, self.title, after=quality_chart(self.reached()))

    def cost(self) -> Cost | str:
        """What a run with the present settings would train and store; or, as a string, why there can be none."""
        try:
            return cost_of(self.base.config, self.settings)
        except ValueError as error:
            return str(error)

    def reached(self) -> list[Reached]:
        """The runs that were kept, as points of the chart."""
        numbers = {run.name: run.number for run in self.runs}
        points = (
            Reached(numbers[run.name], f"{run.name} {run.settings.method}", run.model.count().stored, lowest(run))
            for run in self.kept
        )  # fmt: skip
        return [point for point in points if math.isfinite(point.loss)]

    def run(self, name: str = "", **changes: Any) -> LabRun[TunedModel, TuningSettings]:
        """As `Lab.run`; a method given without a learning rate gets its rate in `RATES`."""
        suited = {"learning_rate": RATES[changes["method"]]} if changes.get("method") in RATES else {}
        return super().run(name, **{**suited, **changes})

    def experiment(self, settings: TuningSettings) -> Experiment[TunedModel]:
        torch.manual_seed(0)
        method = method_of(settings)
        tuned = attach(self.base, method)
        config = method.recipe(
            steps=settings.steps,
            learning_rate=settings.rate,
            label_smoothing=0.0,  # it would change the loss that the runs are compared by
            evaluate_every=max(1, settings.steps // EVALUATIONS),
            device=self.device,
        )
        batches = Completions(self.training, BATCH_SIZE, tuned.window)
        return Experiment(tuned, batches, config, self.loss, self.sample)

    def write(self, model: TunedModel, folder: Path) -> None:
        model.save(folder)

    def read(self, folder: Path) -> TunedModel:
        return load(self.base, folder)

    def loss(self, model: LanguageModel) -> float:
        """Mean loss on the held-out targets, in nats per token."""
        return mean_loss(model, Completions(self.held_out, 2 * BATCH_SIZE, model.window).in_order())

    def table(self) -> DataFrame:
        """A pandas table with a row for each run: its settings, what it trained and stored, and its lowest loss."""
        from pandas import DataFrame

        scores = {run.name: {run.scored_by: f"{run.score:.0%}"} for run in self.runs if run.score is not None}
        rows = [
            {
                "settings": str(run.settings),
                "trained": (count := run.model.count()).trained,
                "stored": count.stored,
                "of the base": f"{count.fraction:.2%}",
                "held-out loss": round(lowest(run), 3),
                **scores.get(run.name, {}),
            }
            for run in self.kept
        ]
        return DataFrame(rows, index=[run.name for run in self.kept])


@functools.lru_cache(maxsize=256)
def cost_of(shape: ModelConfig, settings: TuningSettings) -> Cost:
    """What a method costs on a base of this shape. Raises ValueError for settings that do not fit it."""
    method = method_of(settings)
    return Cost(settings.method, method.acts_at, count_on(shape, method), docs(settings.method))


def lowest(run: LabRun[TunedModel, TuningSettings]) -> float:
    """A run's lowest held-out loss, in nats per token; NaN if it was never evaluated."""
    losses = (each.loss for each in run.result.evaluations if each.loss is not None)
    return min(losses, default=math.nan)
