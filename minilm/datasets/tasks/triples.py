"""Facts to text, with kinds of story that training never shows: WebNLG's question, seen and unseen.

An example is the beginning of a story, of one passage or of several, and all facts that it tells. Its category is the
plot. Prompts and targets have the law of documents of the kind "facts first", which gives the task an exact floor.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from minilm.datasets.records import Triple, TripleText
from minilm.datasets.tasks.phrasing import Fact
from minilm.datasets.tasks.task import Task, at_least
from minilm.storyworld import Story, StoryWorld

KIND, NOTATION = "facts first", "colons"
"""The documents of which the examples are a part; the notation is held out of pretraining."""


@dataclass(frozen=True)
class StoryTriples(Task):
    """Facts, and the beginning of a story that tells them."""

    facts: int = 4
    """The most facts in one example: the more, the longer and harder."""
    passages: int = 2
    """The most passages in one example; beginnings of all lengths up to this come equally often."""
    unseen: tuple[str, ...] | None = None
    """The plots kept out of training and dev; None: the last quarter of the grammar's, one at least."""

    def __post_init__(self) -> None:
        at_least(1, facts=self.facts)
        at_least(1, passages=self.passages)
        strange = [plot for plot in self.unseen or () if plot not in self.plots]
        if isinstance(self.unseen, str) or strange or set(self.unseen_plots) >= set(self.plots):
            raise ValueError(
                f"unseen must be a tuple of some, not all, of {', '.join(self.plots)}, got {self.unseen!r}"
            )

    @property
    def plots(self) -> tuple[str, ...]:
        """All plots that stories have."""
        return tuple(self.drawn_from.attributes()["plot"])

    @property
    def unseen_plots(self) -> tuple[str, ...]:
        """The plots that only the test split has."""
        return self.plots[-max(1, len(self.plots) // 4) :] if self.unseen is None else self.unseen

    def examples(self, stories: tuple[Story, ...], split: str, rng: random.Random) -> Iterator[TripleText]:
        """The story's beginnings with few enough facts, if its plot is one for this split."""
        story = stories[0]
        plot = story.value("plot")
        seen = plot not in self.unseen_plots
        if not seen and split != "test":
            return
        for passages, facts in beginnings(story, self.passages):
            if 0 < len(facts) <= self.facts:
                triples = tuple(Triple(*fact) for fact in facts)
                yield TripleText(triples, (" ".join(story.passages[:passages]),), plot, seen)

    def law(self, split: str) -> StoryWorld | None:
        """Facts and then as many passages; of a split's plots alone. None for a world that has no such documents."""
        if KIND not in self.world.grammar.kinds:
            return None
        plots = tuple(each for each in self.plots if split == "test" or each not in self.unseen_plots)
        lengths = dict.fromkeys(range(1, self.passages + 1), 1.0)
        return self.world.only(KIND, notation=NOTATION, plots=plots, lengths=lengths)

    def own_text(self, example: TripleText) -> str:
        """The facts, which stories of different splits may share."""
        return example.prompt


def beginnings(story: Story, most: int) -> Iterator[tuple[int, tuple[Fact, ...]]]:
    """(number of passages, facts told in them) for each beginning of at most so many passages."""
    facts: tuple[Fact, ...] = ()
    for passages, told in enumerate(story.facts_of[:most], start=1):
        facts += told
        yield passages, facts
