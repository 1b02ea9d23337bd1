"""Stories that contain a given word: the task of auxiliary tuning (Zeldes et al. 2020, section 4).

Given a keyword a, a story must come out with probability P(x | a occurs in x). Each story is therefore paired with
*every* keyword in it: to pair it with one drawn among them would make stories with many keywords too rare. The training
data then has exactly the law that the oracle conditions on, and -log P(a) says how far the prompt has to shift it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from minilm.datasets.records import KeywordStory
from minilm.datasets.tasks.task import Task, at_least
from minilm.storyworld import Story, StoryWorld

KIND, NOTATION = "keyword first", "equals"
"""The documents of which the examples are a part; the notation is held out of pretraining."""


@dataclass(frozen=True)
class KeywordStories(Task):
    """A keyword, or several, and a story that contains them."""

    count: int = 1
    """How many keywords a story must contain together: the more, the rarer the story asked for."""
    keywords: tuple[str, ...] = ()
    """Ask for these only; empty: for all that the world knows."""

    def __post_init__(self) -> None:
        at_least(1, count=self.count)
        known = self.world.grammar.keywords
        strange = [word for word in self.keywords if word not in known]
        if isinstance(self.keywords, str) or strange:
            raise ValueError(
                f"keywords must be some of {', '.join(known)}, as a tuple, got {self.keywords!r}"
            )

    def law(self, split: str) -> StoryWorld | None:
        """A keyword and then a story with it; None where several are asked for, or only some of them."""
        if KIND not in self.world.grammar.kinds or self.count > 1 or self.keywords:
            return None
        return self.world.only(KIND, notation=NOTATION)

    def examples(self, stories: tuple[Story, ...], split: str, rng: random.Random) -> Iterator[KeywordStory]:
        """One example for every choice of `count` keywords that the story contains."""
        story = stories[0]
        wanted = [word for word in story.attributes["keyword"] if not self.keywords or word in self.keywords]
        for chosen in combinations(wanted, self.count):
            yield KeywordStory(chosen, story.text)
