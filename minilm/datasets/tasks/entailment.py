"""Whether one sentence follows from another: MNLI's question.

The premise is a passage or more of a story; the hypothesis says or denies something of its hero. Within one story, an
object of a relation rules out the others: who went to the park did not go to the mill. So

    entailment      says what the premise tells,   or denies a rival of it
    contradiction   denies what the premise tells, or says a rival of it
    neutral         says or denies what the premise is silent about

and each label is denied as often as it is said: the hypothesis alone gives nothing away, as it does in MNLI.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from minilm.datasets.records import ENTAILMENTS, SentencePair
from minilm.datasets.tasks.phrasing import Fact, Told, claims, rivals, told
from minilm.datasets.tasks.task import Task, at_least
from minilm.storyworld import Story

ENTAILMENT, NEUTRAL = (ENTAILMENTS.index(name) for name in ("entailment", "neutral"))


@dataclass(frozen=True)
class StoryEntailment(Task):
    """A premise, a hypothesis, and whether it follows, is open, or is ruled out."""

    passages: int = 1
    """How many passages the premise has: the more, the longer the search for the one that matters."""

    def __post_init__(self) -> None:
        at_least(1, passages=self.passages)

    def examples(self, stories: tuple[Story, ...], split: str, rng: random.Random) -> Iterator[SentencePair]:
        """One pair for each run of passages that names the hero and tells something of him or her."""
        story = stories[0]
        for start in range(max(1, len(story.passages) - self.passages + 1)):
            window = slice(start, start + self.passages)
            premise = " ".join(story.passages[window])
            known = self._known(story, tuple(fact for facts in story.facts_of[window] for fact in facts))
            if known and story.value("hero") in premise:
                label, positive = rng.randrange(3), rng.random() < 0.5
                hypotheses = self._hypotheses(label, positive, premise, rng.choice(known), known)
                if hypotheses:
                    claim = rng.choice(hypotheses).of(known[0])
                    yield SentencePair(premise, claim.says if positive else claim.denies, label)

    def own_text(self, example: SentencePair) -> str:
        """The premise, which stories of different splits may share."""
        return example.premise

    def _known(self, story: Story, facts: tuple[Fact, ...]) -> list[Told]:
        """What a hypothesis can be about: facts of the hero that can be denied and that have rivals."""
        hero = story.value("hero")
        return [c for c in told(self.world, story, facts) if c.fact[0] == hero and c.is_deniable]

    def _hypotheses(
        self, label: int, positive: bool, premise: str, claim: Told, known: list[Told]
    ) -> list[Told]:
        """Claims, of any hero, that have the label when they are said or denied of this one."""
        if label == NEUTRAL:
            return self._open(premise, known)
        return [claim] if positive == (label == ENTAILMENT) else rivals(self.world, claim, premise)

    def _open(self, premise: str, known: list[Told]) -> list[Told]:
        """Claims in relations, and of objects, that the premise does not speak of."""
        told_of = {claim.fact[1] for claim in known}
        others = [c for relation, cs in claims(self.world).items() if relation not in told_of for c in cs]
        return [claim for claim in others if claim.is_deniable and claim.fact[2] not in premise]
