"""The rows of `benchmarks/auxiliary.py` that train: each makes its models, says what they learn from and how they write."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lessons.keyword_stories import KeywordStories
from minilm import MiniLM, TrainingConfig
from minilm.adaptation import EncodedTask
from minilm.objectives import Completions
from minilm.steering import Experts
from minilm.tuning import Auxiliary, CachedBase, FullFineTuning, Method, Side, TunedModel, attach

Row = dict[str, Any]
SMALL = {"n_layer": 2, "n_head": 4, "d_model": 64}
"""Shape of all small models: auxiliary, side, expert and anti-expert."""
MUON = {"optimizer": "muon", "learning_rate": 3e-3, "matrix_learning_rate": 0.02}
"""For what begins at zero or at random; `recipe()` for what begins at the base."""


@dataclass(frozen=True)
class Part:
    """One model to be trained."""

    model: Any
    batches: Completions
    method: Method
    """Whose recipe it follows."""
    changes: Row = field(default_factory=dict)
    """Of that recipe."""

    def config(self, steps: int, evaluate_every: int) -> TrainingConfig:
        """The settings of its training."""
        return self.method.recipe(steps=steps, evaluate_every=evaluate_every, **self.changes)


@dataclass
class Subject:
    """A way to write stories with a keyword, and what has to be trained for it."""

    write: Callable[..., list[str]]
    """From keywords and `seed=` to stories."""
    parts: Sequence[Part]
    """Trained one after the other; the curve is that of the last."""
    n_weight: int
    """Trained weights."""
    tuned: TunedModel | None = None
    strengths: Sequence[float] = ()
    """To choose from, where there is a choice."""
    set_strength: Callable[[float], None] = lambda strength: None

    def done(self) -> None:
        """Take from the base what was attached to it."""
        if self.tuned is not None:
            self.tuned.detach()


def make(name: str, base: MiniLM, task: KeywordStories, batch_size: int, seed: int) -> Subject:
    """A row's models, untrained."""
    return TRAINED[name](base, task, batch_size, seed)


def auxiliary(base: MiniLM, task: KeywordStories, batch_size: int, seed: int, plain: bool = False) -> Subject:
    """Auxiliary tuning, with features of all of the base's layers (Fig. 2) or with an embedding of its own (Fig. 1)."""
    method = Auxiliary(**SMALL, feature_layers=0 if plain else base.config.n_layer)
    tuned = attach(base, method)
    batches = task.batches(base.window, batch_size, seed=seed)
    part = Part(CachedBase(tuned, width=task.longest), batches, method, MUON)
    return Subject(told(tuned, task), [part], tuned.count().trained, tuned)


def plain(base: MiniLM, task: KeywordStories, batch_size: int, seed: int) -> Subject:
    """The plain architecture."""
    return auxiliary(base, task, batch_size, seed, plain=True)


def fine_tuned(base: MiniLM, task: KeywordStories, batch_size: int, seed: int) -> Subject:
    """All of the base's weights, with the keyword in the text (the report's FT)."""
    return in_text(attach(base, FullFineTuning()), FullFineTuning(), task, batch_size, seed)


def side(base: MiniLM, task: KeywordStories, batch_size: int, seed: int) -> Subject:
    """Side-tuning, whose side network starts as a copy of the base, with the keyword in the text."""
    return in_text(attach(base, Side(copy=True)), Side(copy=True), task, batch_size, seed)


def in_text(tuned: TunedModel, method: Method, task: KeywordStories, batch_size: int, seed: int) -> Subject:
    """A tuned model that reads the keyword before the story."""
    part = Part(tuned, task.in_text.batches(tuned.window, batch_size, seed), method)
    return Subject(after_keyword(tuned, task), [part], tuned.count().trained, tuned)


def from_scratch(base: MiniLM, task: KeywordStories, batch_size: int, seed: int) -> Subject:
    """The report's baseline: the base's shape with weights of its own, and the keyword in the text."""
    model = MiniLM(base.config)
    part = Part(model, task.in_text.batches(model.window, batch_size, seed), FullFineTuning(), MUON)
    return Subject(after_keyword(model, task), [part], size(model))


def experts(base: MiniLM, task: KeywordStories, batch_size: int, seed: int) -> Subject:
    """DExperts: a small model that learned keywords with stories, less one that learned them with others' stories."""
    expert, anti = (MiniLM(replace(base.config, **SMALL)) for _ in range(2))
    window = base.window
    method = FullFineTuning()
    parts = [
        Part(anti, shuffled(task).batches(window, batch_size, seed), method, MUON),
        Part(expert, task.in_text.batches(window, batch_size, seed), method, MUON),
    ]
    steered = Experts(base, expert, anti, strength=1.0)

    def set_strength(strength: float) -> None:
        steered.strength = strength

    write = after_keyword(steered, task)
    return Subject(write, parts, 2 * size(expert), None, (0.5, 1.0, 2.0, 4.0), set_strength)


def shuffled(task: KeywordStories) -> EncodedTask:
    """The same stories behind keywords that say nothing about them."""
    words = [record.keywords for record in task.records]
    random.Random(1).shuffle(words)
    pairs = zip(task.records, words, strict=True)
    return replace(task.in_text, records=tuple(replace(record, keywords=each) for record, each in pairs))


def told(model, task: KeywordStories) -> Callable[..., list[str]]:
    """Write with the keyword as an attribute."""
    return lambda wanted, seed=0: task.write(model, wanted, seed=seed)


def after_keyword(model, task: KeywordStories) -> Callable[..., list[str]]:
    """Write with the keyword in the text."""
    return lambda wanted, seed=0: task.write(model, wanted, in_text=True, seed=seed)


def size(model: MiniLM) -> int:
    """Its number of weights."""
    return sum(weight.numel() for weight in model.parameters())


TRAINED: dict[str, Callable[[MiniLM, KeywordStories, int, int], Subject]] = {
    "auxiliary": auxiliary,
    "auxiliary, plain": plain,
    "from scratch": from_scratch,
    "fine-tuned": fine_tuned,
    "side-tuning": side,
    "dexperts": experts,
}
"""Row -> its maker."""
