"""From a recipe to a model that is saved with a card saying how it was made and how good it is."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from minilm.checkpoint import save_pretrained
from minilm.files import atomic_file
from minilm.generation import generate
from minilm.model import MiniLM
from minilm.pretraining.corpus import Corpus, corpus_named
from minilm.pretraining.recipe import Recipe
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

    @property
    def gap(self) -> float | None:
        """How far the loss is above the floor, as a share of it; None where the floor is unknown."""
        return None if self.corpus.floor is None else self.loss / self.corpus.floor - 1

    def save(self, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
        """Write model, tokenizer and card; see `save_pretrained`. The card names the SHA-256 of the others."""
        folder = save_pretrained(folder, self.model, self.corpus.tokenizer, dtype=dtype)
        digests = [
            f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}"
            for file in sorted(folder.iterdir())
        ]
        with atomic_file(folder / "README.md") as draft:
            draft.write_text(self.card("\n".join(digests)), encoding="utf-8")
        return folder

    def yardsticks(self) -> list[tuple[str, float]]:
        """Losses on the held-out text, in nats per token, from worst to best."""
        rows = [("5-gram model", self.corpus.baseline()), ("this model", self.loss)]
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

    def card(self, digests: str) -> str:
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
            steps=self.result.steps,
            minutes=self.result.seconds / 60,
            rows="\n".join(rows),
            gap=gap,
            digests=digests,
            recipe=json.dumps(asdict(self.recipe), indent=2),
        )


CARD = """# A small language model of {data}

{size:,} parameters in GPT-2's layout, pretrained from nothing by minilm: {steps:,} steps, {minutes:.0f} minutes.

| on held-out text | nats per token | bits per byte |
|---|---|---|
{rows}
{gap}
Made with `minilm pretrain`, by this recipe (`training.seed` decides the weights' start and the batches; stories to learn
from are sampled with seed 0, those held out with seed 1):

```json
{recipe}
```

SHA-256:

```
{digests}
```

Licence: Apache-2.0, as the project's.
"""


def pretrain(
    recipe: Recipe,
    corpus: Corpus | None = None,
    *,
    callbacks: Sequence[Callback] = (),
    progress: bool = True,
    folder: str | Path | None = None,
    stop: threading.Event | None = None,
    sample_tokens: int = 80,
    temperature: float = 1.0,
) -> Pretrained:
    """Pretrain a model from nothing.

    Args:
        corpus: the text; made from the recipe if None.
        callbacks, progress, folder, stop: as for `minilm.train`.
        sample_tokens: length of the sample shown at each evaluation, at most what the model's window holds.
        temperature: of these samples.

    Raises:
        ValueError: the recipe and the text do not fit; see `minilm.train`.
    """
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
        evaluate=corpus.loss,
        sample=sample,
        callbacks=callbacks,
        progress=progress,
        folder=folder,
        stop=stop,
    )
    return Pretrained(recipe, corpus, model, result, corpus.loss(model))
