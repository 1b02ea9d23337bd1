"""Tuning under the reader's hands: pick a method, turn its own sliders, run, stop, compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets as widgets
import torch

from lessons.widgets import controls
from lessons.widgets.lab import Experiment, Lab, LabRun
from minilm import MiniLM
from minilm.metrics import mean_loss
from minilm.objectives import Completions
from minilm.tuning import (
    MAM,
    Adapter,
    BitFit,
    FullFineTuning,
    Inducer,
    LoRA,
    MAMInducer,
    Method,
    ParallelAdapter,
    Prefix,
    Prompt,
    attach,
)

EVALUATIONS = 10
BATCH_SIZE = 8


@dataclass(frozen=True, kw_only=True)
class TuningSettings:
    """What the sliders of `TuningLab` set; a method takes only those that `KNOBS` names for it."""

    method: str = "lora"
    """A name from `KNOBS`."""
    rank: int = 8
    """Of LoRA's change."""
    alpha: float = 16.0
    """LoRA's change is scaled by alpha / rank."""
    length: int = 8
    """Slots of a prefix, or tokens of a prompt."""
    network: bool = True
    """Whether a small network produces the prefix while it is trained."""
    bottleneck: int = 8
    """Width inside an adapter."""
    key_bottleneck: int = 2
    """Width inside an inducer's f_k; 0 leaves its key on the query."""
    value_bottleneck: int = 2
    """Width inside an inducer's f_v."""
    learning_rate: float = 2e-2
    """Peak rate of AdamW."""
    steps: int = 150
    """Optimiser steps."""

    def __str__(self) -> str:
        own = [f"{knob} {getattr(self, knob)}" for knob in KNOBS[self.method]]
        return " · ".join([self.method, *own, f"rate {self.learning_rate:.2g}"])


KNOBS: dict[str, tuple[str, ...]] = {
    "fine-tuning": (),
    "bitfit": (),
    "prompt": ("length",),
    "prefix": ("length", "network"),
    "lora": ("rank", "alpha"),
    "adapter": ("bottleneck",),
    "parallel-adapter": ("bottleneck",),
    "mam": ("length", "network", "bottleneck"),
    "inducer": ("key_bottleneck", "value_bottleneck"),
    "mam-inducer": ("key_bottleneck", "value_bottleneck", "bottleneck"),
}
"""Method -> the settings that are its own."""

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

HIDDEN = 128
"""Width of the network that produces a prefix."""


def method_of(settings: TuningSettings) -> Method:
    """The method that the sliders describe. Raises ValueError for one that the lab does not have."""
    at = settings
    makers: dict[str, Callable[[], Method]] = {
        "fine-tuning": FullFineTuning,
        "bitfit": BitFit,
        "prompt": lambda: Prompt(at.length),
        "prefix": lambda: Prefix(at.length, at.network, HIDDEN),
        "lora": lambda: LoRA(at.rank, at.alpha),
        "adapter": lambda: Adapter(at.bottleneck),
        "parallel-adapter": lambda: ParallelAdapter(at.bottleneck),
        "mam": lambda: MAM(at.length, at.bottleneck, 1.0, at.network, HIDDEN),
        "inducer": lambda: Inducer(at.key_bottleneck, at.value_bottleneck),
        "mam-inducer": lambda: MAMInducer(at.key_bottleneck, at.value_bottleneck, 4, at.bottleneck),
    }
    if at.method not in makers:
        raise ValueError(f"the lab has no method {at.method!r}; choose from {', '.join(makers)}")
    return makers[at.method]()


def sliders(at: TuningSettings, methods: Sequence[str], d_model: int) -> dict[str, widgets.Widget]:
    """A control for each setting; those that are not the method's own are hidden by the lab."""
    return {
        "method": controls.choice("method", list(methods), at.method, "what is added to the frozen model, and where"),
        "rank": controls.whole("rank", at.rank, 1, d_model, "of LoRA's change"),
        "alpha": controls.real("alpha", at.alpha, 1.0, 64.0, "LoRA's change is scaled by alpha / rank", step=1.0),
        "length": controls.whole("length", at.length, 1, 32, "slots of a prefix, tokens of a prompt"),
        "network": controls.choice("network", [("with", True), ("without", False)], at.network, "produces the prefix"),
        "bottleneck": controls.whole("bottleneck", at.bottleneck, 1, 64, "width inside an adapter"),
        "key_bottleneck": controls.whole("key width", at.key_bottleneck, 0, 16, "inside an inducer's f_k; 0 is none"),
        "value_bottleneck": controls.whole("value width", at.value_bottleneck, 1, 16, "inside an inducer's f_v"),
        "learning_rate": controls.magnitude("learning rate", at.learning_rate, 1e-5, 1.0, "peak, after the warm-up"),
        "steps": controls.whole("steps", at.steps, 5, 1000, "optimiser steps", step=5),
    }  # fmt: skip


class TuningLab(Lab):
    """A training dashboard on which the reader tunes one frozen model in many ways; all runs are overlaid.

        lab = TuningLab(model, training, held_out, sample=write)
        lab.run(method="lora", rank=4)     # trains in this cell; Run does it in the background
        lab.model, lab.kept, lab.table()   # the newest run's model; all runs; what each of them cost and reached

    Picking a method shows its own sliders, and moves the learning rate to one that suits it.

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
        super().__init__(
            settings, sliders(settings, methods or list(KNOBS), model.config.d_model), None, title
        )
        self.sliders["method"].observe(lambda change: self.suit(), names="value")
        self.show_own()

    def suit(self) -> None:
        """After another method was picked: its own sliders, and a learning rate for it."""
        self.sliders["learning_rate"].value = RATES[self.sliders["method"].value]
        self.show_own()

    def show_own(self) -> None:
        """Hide the sliders that the method does not have."""
        for knob in {knob for knobs in KNOBS.values() for knob in knobs}:
            slider, own = self.sliders[knob], knob in KNOBS[self.sliders["method"].value]
            slider.layout = widgets.Layout(width=slider.layout.width, display=None if own else "none")

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
            learning_rate=settings.learning_rate,
            warmup_steps=settings.steps // 10,
            label_smoothing=0.0,  # it would blur the loss that the runs are compared by
            evaluate_every=max(1, settings.steps // EVALUATIONS),
            device=self.device,
        )
        return Experiment(
            tuned, Completions(self.training, BATCH_SIZE, tuned.window), config, self.loss, self.sample
        )

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
                "held-out loss": round(min(each.loss for each in run.result.evaluations), 3),
            }
            for run in self.kept
        ]
        return pd.DataFrame(rows, index=[run.name for run in self.kept])
