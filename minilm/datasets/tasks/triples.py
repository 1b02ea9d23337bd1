"""Facts to text, with kinds of story that training never shows: WebNLG's question, seen and unseen.

An example is the beginning of a story, up to the end of a scene that tells a fact, and all facts told so far. Its
category is the plot.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from minilm.datasets.records import Triple, TripleText
from minilm.datasets.tasks.phrasing import Fact
from minilm.datasets.tasks.task import Task, at_least
from minilm.storyworld import Story


@dataclass(frozen=True)
class StoryTriples(Task):
    """Facts, and the beginning of a story that tells them."""

    facts: int = 4
    """The most facts in one example: the more, the longer and harder."""
    unseen: tuple[str, ...] | None = None
    """The plots kept out of training and dev; None: the last quarter of the grammar's, one at least."""

    def __post_init__(self) -> None:
        at_least(1, facts=self.facts)
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
        plot = story.attributes["plot"]
        seen = plot not in self.unseen_plots
        if not seen and split != "test":
            return
        for passages, facts in beginnings(story):
            text = " ".join(story.passages[:passages])
            triples = tuple(Triple(*fact) for fact in facts)
            if len(triples) <= self.facts and names_all(text, triples):
                yield TripleText(triples, (text,), plot, seen)

    def own_text(self, example: TripleText) -> str:
        """The facts, which stories of different splits may share."""
        return example.prompt


def beginnings(story: Story) -> Iterator[tuple[int, tuple[Fact, ...]]]:
    """(number of passages, facts told in them) for each beginning whose last passage tells a fact."""
    facts: tuple[Fact, ...] = ()
    for passages, told in enumerate(story.facts_of, start=1):
        facts += told
        if told:
            yield passages, facts


def names_all(text: str, triples: tuple[Triple, ...]) -> bool:
    """Whether a text has every object, and every subject that is a name, word for word: no fact is only hinted at."""
    names = {t.object for t in triples} | {t.subject for t in triples if t.subject[0].isupper()}
    return all(name in text for name in names)
