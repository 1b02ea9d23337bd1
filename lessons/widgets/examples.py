"""One of every explorer, made from models of your own or from tiny ones: for tests, benchmarks and pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

import lessons.widgets as w
from lessons.widgets.model_explorer import LanguageModel
from lessons.widgets.shift_explorer import Exact
from minilm import BPETokenizer, MiniLM, ModelConfig, TrainingConfig, train, tuning
from minilm.objectives import NextToken
from minilm.storyworld import Oracle, StoryWorld
from minilm.tuning import TunedModel

TEXT = "the keeper counted the boats because the sea was calm. the keeper lit the lamp. " * 40


@dataclass(frozen=True)
class Ingredients:
    """What explorers are made of."""

    model: MiniLM
    tokenizer: BPETokenizer
    gated: Mapping[str, TunedModel]
    """Tuned models with gates, by name: prefix-tuning, inducer-tuning."""
    adapted: Mapping[str, TunedModel]
    """Other tuned models, by name."""
    oracle: Oracle
    words: BPETokenizer
    """The oracle's tokenizer."""
    narrator: MiniLM
    """A model with the oracle's tokenizer."""
    ids: Sequence[int] = ()
    """A text to train on."""
    exact: Exact | None = None
    """The exact shift of the adapted models, if it is known."""


def kinds() -> dict[str, type[w.Explorer]]:
    """Every explorer that the package offers, by name."""
    offered = ((name, getattr(w, name)) for name in w.__all__)
    explorers = {
        name: kind for name, kind in offered if isinstance(kind, type) and issubclass(kind, w.Explorer)
    }
    return {name: kind for name, kind in explorers.items() if kind not in (w.Explorer, w.Lab)}


def makers(of: Ingredients, title: str = "A title") -> dict[str, Callable[[str], w.Explorer]]:
    """For each explorer a function that makes one, given the text that it shows; labs and dashboard have no run yet.

    Args:
        title: heading of labs and dashboard.
    """
    tok, ids, adapted = of.tokenizer, of.ids, dict(of.adapted)
    base: dict[str, LanguageModel] = {"base": of.model}
    two = {**base, **dict(islice(of.gated.items(), 1))}
    pairs = [(ids[:4], ids[4:8]), (ids[:3], ids[3:9])]
    small = w.PretrainingSettings(n_layer=1, d_model=32, batch_size=4, steps=10)
    short = w.TuningSettings(rank=2, steps=10)
    return {
        "AttentionExplorer": lambda text: w.AttentionExplorer(two, tok, text),
        "BPEStepper": lambda text: w.BPEStepper(tok, text[:70]),
        "GateExplorer": lambda text: w.GateExplorer(of.gated, tok, text),
        "LensExplorer": lambda text: w.LensExplorer({**base, **adapted}, tok, text),
        "Playground": lambda text: w.Playground({**base, **of.gated, **adapted}, tok, text, length=20),
        "PretrainingLab": lambda text: w.PretrainingLab(
            tok, ids, ids[:400], floor=0.5, settings=small, context_length=32, title=title),
        "ShiftExplorer": lambda text: w.ShiftExplorer(adapted, tok, text, exact=of.exact),
        "SmoothingExplorer": lambda text: w.SmoothingExplorer("fixed"),
        "TrainingDashboard": lambda text: w.TrainingDashboard(floor=0.5, title=title),
        "TruthExplorer": lambda text: w.TruthExplorer(of.narrator, of.words, of.oracle, text),
        "TuningLab": lambda text: w.TuningLab(
            of.model, pairs, pairs, sample=lambda _: text, settings=short, device="cpu", title=title),
    }  # fmt: skip


def turned(explorer: w.Explorer, **values: object) -> w.Explorer:
    """The explorer with some of its controls moved to these values."""
    for name, value in values.items():
        getattr(explorer, name).value = value
    return explorer


def tiny(n_layer: int = 2, d_model: int = 32, context_length: int = 64) -> Ingredients:
    """Untrained models with large random weights, so that nothing in a view is uniform, and a small oracle."""
    torch.manual_seed(0)
    tok = BPETokenizer.train([TEXT], vocab_size=280)
    model = _random(tok, n_layer=n_layer, n_head=4, d_model=d_model, context_length=context_length)
    prefix, lora = (
        tuning.attach(model, method).eval() for method in (tuning.Prefix(4, False), tuning.LoRA(rank=2))
    )
    for weight in [*prefix.parameters_to_train(), *lora.parameters_to_train()]:
        torch.nn.init.normal_(weight, std=0.5)
    world = StoryWorld()
    words = BPETokenizer.train([story.text for story in world.sample(200, seed=0)], vocab_size=500)
    oracle = Oracle(world, words)
    narrator = _random(words, n_layer=1, n_head=2, d_model=16, context_length=64)
    return Ingredients(
        model, tok, {"prefix": prefix}, {"LoRA": lora}, oracle, words, narrator, tok.encode(TEXT)
    )


def _random(tok: BPETokenizer, **shape: int) -> MiniLM:
    """An untrained model, whose matrices are drawn from a wide normal distribution."""
    model = MiniLM(ModelConfig(vocab_size=tok.vocab_size, **shape)).eval()
    for weight in (each for each in model.parameters() if each.dim() == 2):
        torch.nn.init.normal_(weight, std=0.3)
    return model


def watch(dashboard: w.TrainingDashboard, of: Ingredients, sample: str, steps: int = 12) -> None:
    """Train a new model of the same shape under the dashboard, as if it wrote the sample."""
    batches = NextToken(of.ids, 16, 4)
    config = TrainingConfig(steps=steps, evaluate_every=max(1, steps // 3), warmup_steps=2)
    train(MiniLM(of.model.config), batches, config, evaluate=lambda _: 2.0, sample=lambda _: sample,
          callbacks=[dashboard], progress=False)  # fmt: skip
