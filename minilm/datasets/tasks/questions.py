"""A conversation about a document: CoQA's question, with the length of the document as an option.

The document is one story, or several, of which one is asked about; its place among them is random, so a longer
document is a longer way from the question back to the answer. After the first question the hero is only "she" or "he":
the history says who is meant.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from minilm.datasets.records import Conversation, Question, Turn
from minilm.datasets.tasks.phrasing import Told, persons, rivals, told
from minilm.datasets.tasks.task import Task, at_least
from minilm.storyworld import Story, StoryWorld


@dataclass(frozen=True)
class StoryQuestions(Task):
    """Questions about a document, each with those before it and a short answer."""

    stories: int = 1
    """How many stories the document has: about 110 tokens each with a vocabulary of 1,024."""
    turns: int = 3
    """The most questions asked about one document."""
    history: int = 2
    """How many earlier turns a question comes with."""

    def __post_init__(self) -> None:
        at_least(1, stories=self.stories)
        at_least(1, turns=self.turns)
        at_least(0, history=self.history)

    @property
    def group(self) -> int:
        """As many stories as the document has."""
        return self.stories

    def examples(self, stories: tuple[Story, ...], split: str, rng: random.Random) -> Iterator[Question]:
        """The questions of one conversation, unless the other stories also speak of its persons."""
        story = stories[rng.randrange(len(stories))]
        names = people(self.world, story)
        if any(name in other.text for other in stories if other is not story for name in names):
            return
        document = "\n".join(other.text for other in stories)
        turns = self._turns(askable(self.world, story, names), document, rng)
        if turns:
            yield from Conversation(document, turns, story.value("plot")).questions(self.history)

    def _turns(self, facts: list[Askable], document: str, rng: random.Random) -> tuple[Turn, ...]:
        """Questions about some of the facts, in the order of telling."""
        chosen = sorted(rng.sample(range(len(facts)), min(self.turns, len(facts))))
        turns, last = [], None
        for fact in (facts[index] for index in chosen):
            called = (
                fact.told.pronouns.he if fact.told.pronouns and fact.told.name == last else fact.told.name
            )
            turns.append(self._turn(fact, called, document, rng))
            last = fact.told.name
        return tuple(turns)

    def _turn(self, fact: Askable, called: str, document: str, rng: random.Random) -> Turn:
        """A question for the fact's subject, for its object, or whether it is so."""
        claim, (subject, _, object_) = fact.told, fact.told.fact
        if fact.who and (not fact.what or rng.random() < 0.5):
            return Turn(claim.asks_who(), (subject,))
        wrong = rivals(self.world, claim, document)
        kind = rng.choice(["what", "what", "yes", "no"]) if wrong else "what"
        if kind == "what":
            return Turn(claim.asks_what(called), short_answers(object_, document))
        return Turn((claim if kind == "yes" else rng.choice(wrong).of(claim)).asks_whether(called), (kind,))


class Askable(NamedTuple):
    """A fact with what can be asked of it so that one answer only is right."""

    told: Told
    what: bool
    """Whether its object is settled by subject and relation, and the subject is known by name."""
    who: bool
    """Whether its subject is settled by relation and object, and the object is a person known by name."""


def askable(world: StoryWorld, story: Story, names: list[str]) -> list[Askable]:
    """The facts of a story of which something can be asked."""
    facts = told(world, story, story.facts)
    what = Counter(claim.asks_what() for claim in facts)
    who = Counter(claim.asks_who() for claim in facts)
    found = [
        Askable(
            claim,
            what=what[claim.asks_what()] == 1 and any(name in claim.name for name in names),
            who=who[claim.asks_who()] == 1 and claim.fact[2] in names,
        )
        for claim in facts
    ]
    return [fact for fact in found if fact.what or fact.who]


def short_answers(thing: str, document: str) -> tuple[str, ...]:
    """The object as the fact has it, and its last word where that says as much: "red kite", "kite"."""
    *_, noun = thing.split()
    # Whether the document itself says "kite" for "red kite" somewhere.
    bare = document.count(noun) > document.count(thing)
    return (thing, noun) if bare and noun != thing else (thing,)


def people(world: StoryWorld, story: Story) -> list[str]:
    """The names of the persons in a story."""
    return [text for text in story.bindings.values() if text in persons(world) and text[0].isupper()]
