"""Facts of the story world in plain words: said, denied, asked for.

The grammar file says how each relation is worded, under `relations`; here the subject is named ("Mia", "Mia's uncle",
"the goat", "she") and the pieces are joined.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple, cast

from minilm.datasets.tasks.task import the_world
from minilm.storyworld import Story, StoryWorld
from minilm.storyworld.documents import Parts, Relation, filled
from minilm.storyworld.grammar import Mention, Text

Fact = tuple[str, str, str]
RELATIVE = "relative"
"""The slot whose fillers are named after the hero: Mia's uncle."""


class Pronouns(NamedTuple):
    """The pronouns of a person: "she", "her"."""

    he: str
    his: str


@dataclass(frozen=True)
class Told:
    """A fact of a story, ready to be said."""

    fact: Fact
    name: str
    """What the subject is called: "Mia", "Mia's uncle", "the goat"."""
    pronouns: Pronouns | None
    """None for subjects that are not persons."""
    relation: Relation

    @property
    def is_deniable(self) -> bool:
        """Whether it can be said with "not", and rules out the same of another object."""
        return self.relation.whether is not None

    @property
    def says(self) -> str:
        """ "Mia lost the kite." """
        return sentence(f"{self.name} {self._phrase(self.relation.says)}.")

    @property
    def denies(self) -> str:
        """ "Mia did not lose the kite." """
        return sentence(f"{self.name} did not {self._phrase(self.relation.whether)}.")

    def asks_whether(self, called: str | None = None) -> str:
        """ "Did Mia lose the kite?"; `called` replaces the name if given: "she"."""
        return f"Did {called or self.name} {self._phrase(self.relation.whether)}?"

    def asks_what(self, called: str | None = None) -> str:
        """ "What did Mia lose?" """
        return self._phrase(self.relation.ask, called)

    def asks_who(self) -> str:
        """ "Who lost the kite?" """
        return f"Who {self._phrase(self.relation.says)}?"

    def of(self, subject: Told) -> Told:
        """The same of another claim's subject."""
        return replace(subject, fact=(subject.fact[0], *self.fact[1:]), relation=self.relation)

    def _phrase(self, pattern: Parts | None, called: str | None = None) -> str:
        if pattern is None:
            raise ValueError(
                f"the grammar has no such phrase for {' '.join(self.fact[1:])!r}: ask `is_deniable`"
            )
        values = {"subject": (Text(called or self.name),), "object": (Text(self.fact[2]),)}
        their = self.pronouns.his if self.pronouns else "the"
        return "".join(
            part.text if isinstance(part, Text) else " " * cast(Mention, part).spaced + their
            for part in filled(pattern, values)
        )


def told(world: StoryWorld, story: Story, facts: tuple[Fact, ...]) -> list[Told]:
    """The facts of a story that have a phrase, ready to be said."""
    known, slot_of = relations(world), {text: slot for slot, text in story.bindings.items()}
    found = []
    for fact in facts:
        subject, relation, object_ = fact
        phrase = known.get(f"{relation} {{{slot_of.get(object_)}}}") or known.get(relation)
        if phrase and phrase.says and phrase.ask:
            pronouns = persons(world).get(subject)
            found.append(Told(fact, name(subject, slot_of, story.value("hero")), pronouns, phrase))
    return found


def name(subject: str, slot_of: Mapping[str, str], hero: str) -> str:
    """What a subject is called in a sentence."""
    if slot_of.get(subject) == RELATIVE:
        return f"{hero}'s {subject}"
    return subject if subject[0].isupper() else f"the {subject}"


def sentence(text: str) -> str:
    """The text with a capital first letter."""
    return text[0].upper() + text[1:]


def relations(world: StoryWorld) -> Mapping[str, Relation]:
    """Relation, or relation and slot of the object, -> how it is said; the course's where a grammar has none."""
    return world.grammar.relations or the_world().grammar.relations


@cache
def persons(world: StoryWorld) -> dict[str, Pronouns]:
    """Names and kin -> their pronouns: every filler whose agreement class has the forms `he` and `his`."""
    return {
        filler.text: Pronouns(filler.forms["he"], filler.forms["his"])
        for slot in world.grammar.slots.values()
        for filler in slot.fillers
        if "he" in filler.forms and "his" in filler.forms
    }


@cache
def claims(world: StoryWorld) -> dict[str, tuple[Told, ...]]:
    """Relation -> what heroes of stories do in it, each object once: to put one in another's place."""
    found: dict[str, dict[str, Told]] = {}
    for story in world.sample(1_000, seed=0, kind="story"):
        for claim in told(world, story, story.facts):
            subject, relation, object_ = claim.fact
            if subject == story.attributes["hero"]:
                found.setdefault(relation, {}).setdefault(object_, claim)
    return {relation: tuple(by_object.values()) for relation, by_object in found.items()}


def rivals(world: StoryWorld, claim: Told, text: str) -> list[Told]:
    """What other heroes do in the claim's relation to things that a text does not mention; ruled out if it is true."""
    others = claims(world).get(claim.fact[1], ()) if claim.is_deniable else ()
    return [other for other in others if other.fact[2] not in text]
