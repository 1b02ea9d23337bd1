"""From a recipe to a model that is saved with a card saying how it was made and how good it is."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from minilm.checkpoints.folders import check_folder, save_card, save_pretrained
from minilm.generation.sampling import generate
from minilm.model.model import MiniLM
from minilm.pretraining.corpus import Corpus, corpus_named
from minilm.pretraining.finished import making_of
from minilm.pretraining.recipe import WORLD_OF, Recipe
from minilm.system.checks import whole
from minilm.system.content_digests import digest
from minilm.training import Callback, TrainingResult, train


@dataclass(frozen=True)
class Pretrained:
    """A finished run."""

    recipe: Recipe
    corpus: Corpus
    model: MiniLM
    result: TrainingResult
    loss: float
    """On held-out text, in nats per token."""
    source: str | None = None
    """A digest of what the text was made from; see `finished.source_digest`."""

    @property
    def gap(self) -> float | None:
        """How far the loss is above the floor, as a share of it; None where the floor is unknown."""
        return None if self.corpus.floor is None else self.loss / self.corpus.floor - 1

    def save(self, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
        """Write model, tokenizer and card; see `save_pretrained`. The card comes last, since its baselines take time."""
        check_folder(folder)
        save_pretrained(folder, self.model, self.corpus.tokenizer, dtype=dtype)
        return save_card(folder, self.card(dtype))

    @cached_property
    def baseline(self) -> float:
        """Loss of a 5-gram model on the held-out text, which is counted once."""
        return self.corpus.baseline()

    def yardsticks(self) -> list[tuple[str, float]]:
        """Losses on the held-out text, in nats per token, from worst to best."""
        rows = [("5-gram model", self.baseline), ("this model", self.loss)]
        return (
            rows
            if self.corpus.floor is None
            else [*rows, ("floor: the world's own probabilities", self.corpus.floor)]
        )

    def kinds_table(self) -> str:
        """Markdown: loss and floor of each kind of document; empty where there are no kinds."""
        losses, floors = self.corpus.losses(self.model), self.corpus.floors
        rows = [
            f"| {kind} | {losses[kind]:.4f} | {floor:.4f} | {losses[kind] / floor - 1:.1%} |"
            for kind, floor in floors.items()
        ]
        head = ["", "| kind of document | this model | floor | above it |", "|---|---|---|---|"]
        return "\n".join([*head, *rows, ""]) if rows else ""

    def card(self, dtype: torch.dtype | None = None) -> str:
        """Markdown: what the model is, how it was made, how good it is."""
        size = sum(parameter.numel() for parameter in self.model.parameters())
        rows = [
            f"| {name} | {loss:.4f} | {self.corpus.bits_per_byte(loss):.4f} |"
            for name, loss in self.yardsticks()
        ]
        gap = (
            ""
            if self.gap is None
            else f"\nThe model is {self.gap:.1%} above the floor.\n{self.kinds_table()}"
        )
        return CARD.format(
            data=self.recipe.data,
            size=size,
            steps=self.steps_in_words(),
            minutes=self.result.seconds / 60,
            rows="\n".join(rows),
            gap=gap,
            recipe=json.dumps(making_of(self.recipe, dtype, self.source), indent=2),
        )

    def steps_in_words(self) -> str:
        """How far the run went."""
        taken, steps = self.result.steps, self.recipe.training.steps
        return f"{taken:,} of {steps:,} steps, then stopped" if self.result.stopped else f"{taken:,} steps"


CARD = """# A small language model of {data}

{size:,} parameters in GPT-2's layout, pretrained from nothing by minilm: {steps}, {minutes:.0f} minutes.

| on held-out text | nats per token | bits per byte |
|---|---|---|
{rows}
{gap}
Made with `minilm pretrain`, by this recipe (`training.seed` decides the weights' start and the batches; stories to learn
from are sampled with seed 0, those held out with seed 1):

```json
{recipe}
```

`minilm.json` holds the SHA-256 of `config.json`, `model.safetensors`, `tokenizer.json` and this card.

Licence: Apache-2.0, as the project's.
"""


def pretrain(
    recipe: Recipe,
    corpus: Corpus | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
    folder: str | Path | None = None,
    resume: bool = True,
    stop: threading.Event | None = None,
    sample_tokens: int = 80,
    temperature: float = 1.0,
) -> Pretrained:
    """Pretrain a model from nothing.

    Args:
        corpus: the text; made from the recipe if None.
        callbacks, progress, folder, resume, stop: as for `minilm.train`.
        sample_tokens: length of the sample shown at each evaluation, at most what the model's window holds.
        temperature: of these samples.

    Raises:
        ValueError: the recipe and the text do not fit; see `minilm.train`.
    """
    check_recipe(recipe)
    corpus = corpus or corpus_named(recipe.data, recipe.vocab_size, recipe.n_story, recipe.n_held_out)
    torch.manual_seed(recipe.training.seed)
    model = MiniLM(recipe.shape(corpus.tokenizer.vocab_size))

    def sample(model: MiniLM) -> str:
        start = torch.tensor([corpus.opening], device=model.device)
        end, room = corpus.tokenizer.end_of_text, min(sample_tokens, model.window - start.size(1))
        tokens = generate(model, start, room, temperature, seed=0, stop_token=end)[0, start.size(1) :]
        return corpus.tokenizer.decode([token for token in tokens.tolist() if token != end])

    result = train(
        model,
        corpus.batches(recipe.context_length, recipe.batch_size, recipe.training.seed),
        recipe.training,
        evaluate=HeldOut(corpus),
        sample=sample,
        callbacks=callbacks,
        progress=progress,
        folder=folder,
        resume=resume,
        stop=stop,
    )
    stopped_at = result.evaluations[-1].loss if result.stopped else None
    return Pretrained(recipe, corpus, model, result, stopped_at or corpus.loss(model))


@dataclass(frozen=True)
class HeldOut:
    """The loss on a corpus's held-out text, as `train` asks for it."""

    corpus: Corpus

    def __call__(self, model: MiniLM) -> float:
        return self.corpus.loss(model)

    def identity(self) -> dict[str, Any]:
        """A digest of the text, for a run that may end by its loss to know its checkpoint by."""
        return {"tokens": digest(self.corpus.held_out)}


def check_recipe(recipe: Recipe) -> None:
    """Refuse sizes that are impossible, before any text is made or read.

    Raises:
        ValueError: a size is not a whole number of at least 1, or does not fit another; the message names it.
    """
    sizes = ["batch_size", *(["n_story", "n_held_out"] if recipe.data in WORLD_OF else [])]
    for name in sizes:
        whole(name, getattr(recipe, name), least=1)
    recipe.shape(recipe.vocab_size)  # refuses what makes no model
