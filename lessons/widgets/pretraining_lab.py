"""A lab for pretraining: size, learning rate, batch, steps and temperature on sliders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import ipywidgets as widgets
import torch
from torch import Tensor

from lessons.widgets import controls
from lessons.widgets.lab import Lab
from lessons.widgets.lab_run import Experiment
from minilm import BPETokenizer, MiniLM, ModelConfig, generate, load_pretrained, save_pretrained
from minilm.evaluation.perplexity import mean_loss
from minilm.objectives import Documents, NextToken
from minilm.text.tokenizer import END_OF_TEXT
from minilm.training import TrainingConfig

Text = Tensor | Sequence[int] | Sequence[Sequence[int]]
"""Token ids of one long text, or of several documents."""

HEADS = [1, 2, 3, 4, 6, 8, 12, 16]
HELD_OUT_BATCHES = 4
EVALUATIONS = 20
SAMPLE_LENGTH = 40


@dataclass(frozen=True, kw_only=True)
class PretrainingSettings:
    """What the sliders of `PretrainingLab` set."""

    n_layer: int = 2
    """Transformer blocks."""
    d_model: int = 96
    """Width of the residual stream."""
    n_head: int = 4
    """Attention heads; the width must be a multiple of their number."""
    learning_rate: float = 3e-3
    """Peak rate of AdamW; Muon's rate for the matrices changes by the same factor."""
    batch_size: int = 16
    """Windows of text in one step."""
    steps: int = 300
    """Optimiser steps."""
    temperature: float = 0.8
    """Temperature of the samples: 0 takes the likeliest token, 1 draws from the model's distribution. It can be changed
    while the model trains."""

    def __str__(self) -> str:
        size = f"{self.n_layer} layer{'s' * (self.n_layer > 1)} · width {self.d_model} · heads {self.n_head}"
        return f"{size} · rate {self.learning_rate:.2g} · batch {self.batch_size}"


def sliders(at: PretrainingSettings) -> dict[str, widgets.Widget]:
    """A slider for each setting; their ranges cover what a laptop trains in minutes."""
    return {
        "n_layer": controls.whole("layers", at.n_layer, 1, 8, "transformer blocks"),
        "d_model": controls.whole("width", at.d_model, 32, 256, "of the residual stream", step=16),
        "n_head": controls.choice("heads", HEADS, at.n_head, "they share the width, which must be a multiple"),
        "learning_rate": controls.magnitude("learning rate", at.learning_rate, 1e-4, 1e-1, "peak, after the warm-up"),
        "batch_size": controls.whole("batch", at.batch_size, 4, 64, "windows of text in a step", step=4),
        "steps": controls.whole("steps", at.steps, 10, 2000, "optimiser steps", step=10),
        "temperature": controls.real("temperature", at.temperature, 0.0, 2.0, "of the samples; turn it at any time"),
    }  # fmt: skip


class PretrainingLab(Lab[MiniLM, PretrainingSettings]):
    """A training dashboard with sliders, Run and Stop, and all runs overlaid.

        lab = PretrainingLab(tok, training_documents, held_out_documents, floor=1.23)
        lab.run()              # trains in this cell, with the values of the sliders
        lab.run(n_layer=4)     # or with others
        lab.model, lab.kept    # the newest run's model, and all runs
        lab.save("my-run")     # for lab.load("my-run"), and for minilm.load_pretrained("my-run")

    Args:
        tokenizer: the tokenizer that made the token ids below.
        training: ids of one long text, or a list of documents, each a list of ids.
        held_out: text that is not trained on, in either of these two forms.
        floor: entropy of the text in nats per token, where it is known.
        settings: first values of the sliders.
        context_length: tokens in a window.
        config: all settings of training that have no slider.
        prompt: the text that the samples continue.
        evaluate: computes the held-out loss in nats per token; None uses a few windows of `held_out`.
        title: the heading.
    """

    def __init__(
        self,
        tokenizer: BPETokenizer,
        training: Text,
        held_out: Text,
        *,
        floor: float | None = None,
        settings: PretrainingSettings | None = None,
        context_length: int = 64,
        config: TrainingConfig | None = None,
        prompt: str = END_OF_TEXT,
        evaluate: Callable[[MiniLM], float] | None = None,
        title: str = "Pretraining lab",
    ):
        self.tokenizer, self.training, self.held_out = tokenizer, training, held_out
        self.context_length, self.config = context_length, config or TrainingConfig()
        self.prompt, self.evaluate = tokenizer.encode(prompt), evaluate or self.loss_on_windows
        settings = settings or PretrainingSettings()
        super().__init__(settings, sliders(settings), floor, title)

    def experiment(self, settings: PretrainingSettings) -> Experiment[MiniLM]:
        torch.manual_seed(self.config.seed)
        model = MiniLM(self.shape(settings))
        batches = self.batches(self.training, settings.batch_size)
        return Experiment(model, batches, self.schedule(settings), self.evaluate, self.sample)

    def write(self, model: MiniLM, folder: Path) -> None:
        save_pretrained(folder, model, self.tokenizer)

    def read(self, folder: Path) -> MiniLM:
        model, tokenizer = load_pretrained(folder)
        if tokenizer.vocab_size != self.tokenizer.vocab_size:
            raise ValueError(
                f"the model in {folder} was trained with {tokenizer.vocab_size} tokens, but this lab's tokenizer has "
                f"{self.tokenizer.vocab_size}: choose another folder"
            )
        return model

    def loss_on_windows(self, model: MiniLM) -> float:
        """Mean loss over the first windows of the held-out text, in nats per token."""
        held_out = self.batches(self.held_out, batch_size=16)
        return mean_loss(model, [held_out.batch(index) for index in range(HELD_OUT_BATCHES)])

    def shape(self, settings: PretrainingSettings) -> ModelConfig:
        """Sizes of the model."""
        own = {name: getattr(settings, name) for name in ("n_layer", "n_head", "d_model")}
        return ModelConfig(vocab_size=self.tokenizer.vocab_size, context_length=self.context_length, **own)

    def schedule(self, settings: PretrainingSettings) -> TrainingConfig:
        """How to train: about twenty evaluations, and a warm-up of at most a tenth of the steps."""
        factor = settings.learning_rate / TrainingConfig.learning_rate
        return replace(
            self.config,
            steps=settings.steps,
            learning_rate=settings.learning_rate,
            matrix_learning_rate=self.config.matrix_learning_rate * factor,
            warmup_steps=min(self.config.warmup_steps, settings.steps // 10),
            evaluate_every=max(1, settings.steps // EVALUATIONS),
        )

    def batches(self, text: Text, batch_size: int) -> NextToken | Documents:
        """Windows that start with a document; in one long text, windows that start anywhere."""
        if isinstance(text, Tensor) or isinstance(text[0], int):
            return NextToken(cast("Tensor | Sequence[int]", text), self.context_length, batch_size)
        documents = cast("Sequence[Sequence[int]]", text)
        return Documents(documents, self.tokenizer.end_of_text, self.context_length, batch_size)

    def sample(self, model: MiniLM) -> str:
        """What the model writes after the prompt, at the slider's present temperature."""
        n_new = max(1, min(SAMPLE_LENGTH, self.context_length - len(self.prompt)))
        temperature = self.sliders["temperature"].value
        ids = generate(model, torch.tensor([self.prompt]), n_new, temperature=temperature, seed=0)
        return self.tokenizer.decode(ids[0], skip_special_tokens=True)
