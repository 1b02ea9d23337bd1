"""What tuning brought, in figures: loss, floor, score, what was forgotten, what is stored; before tuning and after."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from minilm.adaptation.known_truth import N_STORY, SEED, divergence_from_world, floor
from minilm.adaptation.scores import Scores, score
from minilm.tuning.count import Count
from minilm.tuning.tuned import TunedModel

if TYPE_CHECKING:
    from minilm.adaptation.encoded import EncodedTask
    from minilm.storyworld import Oracle
    from minilm.text.tokenizer import BPETokenizer
    from minilm.training import TrainingResult

STRANGER = 1.0
"""Divergence in nats per token from which on a base is taken for a model of something else than the story world."""


@dataclass(frozen=True)
class Report:
    """A tuned model beside its base, on held-out records; `print` shows it."""

    task: str
    methods: str
    steps: int
    """Optimizer steps taken."""
    seconds: float
    """Of training."""
    loss: tuple[float, float]
    """Nats per token of the targets: the base's, the tuned model's."""
    floor: float | None
    """The least possible loss, except by luck; None where the truth is not known."""
    scores: tuple[Scores, Scores]
    """Shares from 0 to 1 by name: the base's, the tuned model's."""
    forgotten: tuple[float, float] | None
    """KL(oracle || model) in nats per token of ordinary stories, before and after; None for bases of other texts."""
    count: Count
    """What is trained and stored."""

    def rows(self) -> Iterator[tuple[str, str, str]]:
        """(name, before, after), as text."""
        yield "loss, nats per token", f"{self.loss[0]:.3f}", f"{self.loss[1]:.3f}"
        if self.floor is not None:
            yield "floor of the loss", "", f"{self.floor:.3f}"
        for name, after in self.scores[1].items():
            yield name, f"{self.scores[0][name]:.1%}", f"{after:.1%}"
        if self.forgotten is not None:
            yield "stories: KL(oracle || model)", f"{self.forgotten[0]:.4f}", f"{self.forgotten[1]:.4f}"
        yield "numbers stored", "", f"{self.count.stored:,} ({self.count.fraction:.2%} of the base)"

    def __str__(self) -> str:
        head = f"{self.methods} on {self.task}: {self.steps:,} steps, {self.seconds:.0f} s"
        lines = [f"{name:<30} {before:>10} {after:>10}" for name, before, after in self.rows()]
        return "\n".join([head, f"{'held out':<30} {'before':>10} {'after':>10}", *lines])


def report(tuned: TunedModel, task: EncodedTask, result: TrainingResult, forgetting: bool = True) -> Report:
    """Measure a tuned model and its base."""
    models = (tuned.base, tuned)
    answers = [task.answers(model) for model in models]
    return Report(
        task.name,
        " + ".join(tuned.methods),
        result.steps,
        result.seconds,
        (task.loss(tuned.base), task.loss(tuned)),
        known_floor(task),
        (score(task.held_out, answers[0]), score(task.held_out, answers[1])),
        forgotten(tuned, task) if forgetting else None,
        tuned.count(),
    )


def known_floor(task: EncodedTask) -> float | None:
    """The floor of a task's loss; None where the law of its records is not known."""
    from minilm.storyworld import Oracle

    return None if task.law is None else floor(task, Oracle(task.law, task.tokenizer))


def forgotten(tuned: TunedModel, task: EncodedTask) -> tuple[float, float] | None:
    """The divergence from the story world before and after; None if the base is not a model of it."""
    from minilm.datasets.tasks.task import the_world

    stories = the_world().sample(N_STORY, seed=SEED, kind="story")
    oracle = oracle_for(task.tokenizer)
    if max(len(oracle.encode(story.text)) for story in stories) > tuned.window:
        return None
    before = divergence_from_world(tuned.base, oracle, stories)
    return (before, divergence_from_world(tuned, oracle, stories)) if before < STRANGER else None


@cache
def oracle_for(tokenizer: BPETokenizer) -> Oracle:
    """The oracle of the course's world in a model's tokens, made once."""
    from minilm.datasets.tasks.task import the_world
    from minilm.storyworld import Oracle

    return Oracle(the_world(), tokenizer)
