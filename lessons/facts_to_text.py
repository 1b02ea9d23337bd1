"""The task of the tuning lessons: facts in a notation that the base has never read, and a text that tells them.

It is WebNLG's task in small, on which prefix-tuning and LoRA were introduced, made from the world of documents:

    Tom : owned : lamp | Tom : went to : park =   One day, Tom Park went to the city park with his lamp.

The examples have the very law that the world's oracle computes, so the lowest possible loss of the task is known.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from minilm import BPETokenizer, datasets
from minilm.adaptation.encoded import Asked, EncodedTask
from minilm.adaptation.template import PLAIN
from minilm.datasets.tasks import StoryDocuments, StoryTriples
from minilm.generation.few_shot import few_shot_prompt
from minilm.model.interface import LanguageModel
from minilm.storyworld import Oracle

KIND, NOTATION = "facts first", "colons"
"""The kind of document, and the notation of its facts, which no text of pretraining has."""
SHORT = 36
"""Tokens of a solved example at most, so that eight fit into the window of the bundled base."""
COLUMNS = ("seen loss", "seen objects", "seen whole", "unseen loss", "unseen whole", "stories")
"""Of the benchmark, what a lesson shows."""
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "facts_to_text.json"
"""What `benchmarks/facts_to_text.py` wrote: the task on longer texts, several seeds."""


class FactsToText(EncodedTask):
    """Facts to text in the tokens of one model: records to learn from, records to judge by, floor and scores.

    Args:
        tokenizer: of the model that is tuned.
        n_train, n_held_out: how many records of each kind.
        split: where the records to judge by come from: "dev" to choose and to stop by, "test" for final figures.
        unseen: judge by plots that the records to learn from do not have.
        kind: "facts first"; or "facts last", which asks for the facts that a text tells.
    """

    def __init__(
        self,
        tokenizer: BPETokenizer,
        n_train: int = 400,
        n_held_out: int = 48,
        split: str = "dev",
        unseen: bool = False,
        kind: str = KIND,
    ):
        training, judged = documents(kind, unseen=False), documents(kind, unseen)
        records = datasets.load("storyworld-documents", "train", n=n_train, **training)
        held_out = datasets.load("storyworld-documents", split, n=n_held_out, **judged)
        super().__init__(tuple(records), tuple(held_out), tokenizer, PLAIN, f"{kind}, {split}")
        object.__setattr__(self, "drawn_from", StoryDocuments(**judged).drawn_from)

    @cached_property
    def oracle(self) -> Oracle:
        """What a perfect model of these documents predicts."""
        return Oracle(self.drawn_from, self.tokenizer)

    @cached_property
    def lowest_loss(self) -> float:
        """The loss of a perfect model on the held-out targets, in nats per token: their floor."""
        return self.oracle.target_floor([(record.prompt, record.target) for record in self.held_out])

    def judge(self, model: LanguageModel, prompts: Sequence[Asked] | None = None) -> dict[str, float]:
        """The loss on the held-out targets, and the shares of objects and of whole facts that the model's texts tell."""
        return {"loss": self.loss(model, prompts), **self.told(self.write(model, self.asked(prompts)))}

    def told(self, texts: Sequence[str]) -> dict[str, float]:
        """The share of all facts whose object a text names, and of those that the world finds in it when it reads it."""
        pairs = [
            (fact, text) for record, text in zip(self.held_out, texts, strict=True) for fact in record.facts
        ]
        read = {text: set(self.drawn_from.reading(text).facts) for text in texts}
        return {
            "objects told": sum(fact.object in text for fact, text in pairs) / len(pairs),
            "whole facts told": sum(tuple(fact) in read[text] for fact, text in pairs) / len(pairs),
        }

    def behind_examples(self, window: int, shots: int) -> list[list[int]]:
        """The held-out prompts, each behind so many solved examples, other ones for each: few-shot prompting."""
        short = [pair for pair in self.learned if sum(map(len, pair)) <= SHORT] or self.learned
        prompts = []
        for number, (prompt, _) in enumerate(self.judged):
            chosen = [short[(number * shots + each) % len(short)] for each in range(shots)]
            solved = [(asked[1:], written[:-1]) for asked, written in chosen]
            room, mark = window - self.longest, self.tokenizer.encode("\n")
            prompts.append([prompt[0], *few_shot_prompt(solved, prompt[1:], mark, room)])
        return prompts

    def sample(self, model: LanguageModel) -> str:
        """What a model makes of the first held-out facts, for a dashboard."""
        return self.samples(model, 1)

    def samples(self, model: LanguageModel, n: int) -> str:
        """Facts, the text of the world that tells them, and what a model writes, for the first `n` held-out records."""
        written = self.write(model, self.held_out[:n])
        rows = zip(self.held_out, written, strict=False)
        return "\n\n".join(
            f"facts    {record.prompt}\ntarget   {record.target.strip()}\nwritten  {text}"
            for record, text in rows
        )


def documents(kind: str, unseen: bool) -> dict[str, Any]:
    """The dials of the documents of the task: one passage each, of plots that training has, or of the others."""
    plots = StoryTriples()
    seen = tuple(plot for plot in plots.plots if plot not in plots.unseen_plots)
    chosen = plots.unseen_plots if unseen else seen
    return {"kind": kind, "notation": NOTATION, "changes": (("plots", chosen), ("lengths", {1: 1.0}))}


def benchmark(names: Sequence[str]) -> pd.DataFrame | str:
    """Mean, lowest and highest over the seeds of the benchmark; or, where it has not been run, how to run it."""
    if not RESULTS.is_file():
        return "no results yet: run python benchmarks/facts_to_text.py"
    cells = json.loads(RESULTS.read_text(encoding="utf-8"))["cells"]
    rows = {}
    for name in names:
        found = [
            row for key, row in cells.items() if key.rpartition(" seed=")[0] == name and "seen loss" in row
        ]
        if found:
            rows[name] = {"seeds": str(len(found))} | {
                key: spread([row[key] for row in found]) for key in COLUMNS
            }
    return pd.DataFrame(rows).T


def spread(values: Sequence[float]) -> str:
    """Mean, and in brackets the lowest and the highest."""
    return f"{sum(values) / len(values):.3f} ({min(values):.3f} to {max(values):.3f})"
