"""What a lab asks of a task: a score for a model, an answer as a sample, and explorers of a tuned model beside its base."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from ipywidgets import Tab

from lessons.widgets.attention_explorer import AttentionExplorer
from lessons.widgets.lens_explorer import LensExplorer
from lessons.widgets.model_explorer import LanguageModel
from lessons.widgets.playground import Playground
from lessons.widgets.shift_explorer import ShiftExplorer
from minilm import MiniLM
from minilm.adaptation import EncodedTask
from minilm.adaptation.scores import score
from minilm.text.tokenizer import END_OF_TEXT
from minilm.tuning import TunedModel

N_JUDGED = 16
"""Held-out records that a run is scored by while it trains: few, so that training does not wait for them."""


class Judge:
    """The first score of a task on some held-out records, from 0 to 1.

    Args:
        n: records to score by.
    """

    def __init__(self, task: EncodedTask, n: int = N_JUDGED):
        self.task = replace(task, held_out=task.held_out[:n])
        records = self.task.held_out
        self.name = next(iter(score(records, [record.target for record in records])))

    def __call__(self, model: TunedModel) -> float:
        return score(self.task.held_out, self.task.answers(model))[self.name]


def answered(task: EncodedTask) -> Callable[[TunedModel], str]:
    """A sample to watch in training: the first held-out prompt, what the model answers, and what it should answer."""
    record = task.held_out[0]
    prompt, target = task.template.prompt(record).strip(), record.target.strip()
    return lambda model: f"{prompt}\n{task.write(model, [record])[0]}\n(target: {target})"


def look(base: MiniLM, tuned: TunedModel, name: str, task: EncodedTask) -> Tab:
    """A tab for each way to look at a tuned model beside its base, on the first held-out record.

    Args:
        name: what the tuned model is called.
    """
    record = task.held_out[0]
    both: dict[str, LanguageModel] = {name: tuned, "base": base}
    prompt = task.template.prompt(record)
    text = prompt + task.template.target(record)
    explorers = {
        "Playground": Playground(both, task.tokenizer, END_OF_TEXT + prompt, temperature=0.0),
        "Logit shift": ShiftExplorer(tuned, task.tokenizer, text),
        "Attention": AttentionExplorer(both, task.tokenizer, text, layer=base.config.n_layer),
        "Lens": LensExplorer(both, task.tokenizer, text),
    }
    return Tab([each.box for each in explorers.values()], titles=list(explorers))
