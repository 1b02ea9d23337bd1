"""Whether a story ends well: SST-2's question, asked before the end.

How hard it is, is known exactly. The reader sees the first k sentences x; the best possible guess is the likelier ending
given x, and it is right with probability max P(ending | x), which the oracle computes. The text is cut by counting from the
*front*: a cut that left off the last two sentences would tell the reader how much is still to come, and P(ending | x)
would no longer be what is known.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minilm.datasets.records import SENTIMENTS, LabelledSentence
from minilm.datasets.tasks.task import Task, at_least
from minilm.storyworld import Story

if TYPE_CHECKING:
    from minilm.storyworld.oracle import Oracle

ENDINGS = ("sad", "happy")
"""The endings that are told apart, as the labels 0 and 1."""


@dataclass(frozen=True)
class StorySentiment(Task):
    """The beginning of a story, and whether it ends sadly (negative) or happily (positive)."""

    sentences: int | None = None
    """How many sentences are shown, from the first: the fewer, the harder. None: the whole story."""

    def __post_init__(self) -> None:
        if self.sentences is not None:
            at_least(1, sentences=self.sentences)
        scenes = [scene for plot in self.world.grammar.plots.values() for scene in plot.scenes.values()]
        told = {scene.ending for scene in scenes if scene.ending is not None}
        if not set(ENDINGS) <= told:
            known = ", ".join(sorted(told))
            raise ValueError(
                f"sentiment needs stories with the endings {' and '.join(ENDINGS)}; there are: {known}"
            )

    def examples(
        self, stories: tuple[Story, ...], split: str, rng: random.Random
    ) -> Iterator[LabelledSentence]:
        """The story's beginning, if its ending is one of the two."""
        story = stories[0]
        if story.attributes["ending"] in ENDINGS:
            shown = " ".join(story.sentences[: self.sentences])
            yield LabelledSentence(shown, ENDINGS.index(story.attributes["ending"]))

    def own_text(self, example: LabelledSentence) -> str:
        """The part shown, which stories of different splits may share."""
        return example.text


def posteriors(oracle: Oracle, examples: list[LabelledSentence]) -> list[float]:
    """P(positive | text) for each example: exact where no whole story is the beginning of another."""
    condition = ("ending", ENDINGS[SENTIMENTS.index("positive")])
    return [float(oracle.posterior(oracle.tokenizer.encode(e.text), condition)[-1]) for e in examples]


def best_accuracy(oracle: Oracle, examples: list[LabelledSentence]) -> float:
    """The highest possible accuracy, except by luck: the mean of max P(label | text)."""
    return sum(max(p, 1 - p) for p in posteriors(oracle, examples)) / len(examples)
