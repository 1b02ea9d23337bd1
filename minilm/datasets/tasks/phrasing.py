"""Facts of the story world in plain words: said, denied, asked for.

How each relation is said stands in `phrasing.yaml`; here the subject is named ("Mia", "Mia's uncle", "the goat", "she")
and the pieces are joined.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

from minilm.storyworld import Story, StoryWorld

Fact = tuple[str, str, str]
RELATIVE = "relative"
"""The slot whose fillers are named after the hero: Mia's uncle."""


class Relation(NamedTuple):
    """How a relation is said; see `phrasing.yaml`."""

    past: str
    ask: str
    base: str | None = None
    rivals: bool = True


class Pronouns(NamedTuple):
    """What stands for a person: "she", "her"."""

    he: str
    his: str


@dataclass(frozen=True)
class Told:
    """A fact of a story, ready to be said."""

    fact: Fact
    name: str
    """What the subject is called: "Mia", "Mia's uncle", "the goat"."""
    pronouns: Pronouns | None
    """None for subjects that are no persons."""
    relation: Relation

    @property
    def is_deniable(self) -> bool:
        """Whether it can be said with "not", and rules out the same of another object."""
        return self.relation.base is not None and self.relation.rivals

    @property
    def says(self) -> str:
        """ "Mia lost the kite." """
        return sentence(f"{self.name} {self._phrase(self.relation.past)}.")

    @property
    def denies(self) -> str:
        """ "Mia did not lose the kite." """
        return sentence(f"{self.name} did not {self._phrase(self.relation.base)}.")

    def asks_whether(self, called: str | None = None) -> str:
        """ "Did Mia lose the kite?"; `called` stands for the name if given: "she"."""
        return f"Did {called or self.name} {self._phrase(self.relation.base)}?"

    def asks_what(self, called: str | None = None) -> str:
        """ "What did Mia lose?" """
        return self.relation.ask.format(subject=called or self.name)

    def asks_who(self) -> str:
        """ "Who lost the kite?" """
        return f"Who {self._phrase(self.relation.past)}?"

    def of(self, subject: Told) -> Told:
        """The same of another claim's subject."""
        return replace(subject, fact=(subject.fact[0], *self.fact[1:]), relation=self.relation)

    def _phrase(self, pattern: str) -> str:
        return pattern.format(object=self.fact[2], their=self.pronouns.his if self.pronouns else "the")


def told(world: StoryWorld, story: Story, facts: tuple[Fact, ...]) -> list[Told]:
    """The facts of a story that have a phrase, ready to be said."""
    slot_of = {text: slot for slot, text in story.bindings.items()}
    found = []
    for fact in facts:
        subject, relation, object_ = fact
        phrase = relations().get(f"{relation} {{{slot_of.get(object_)}}}") or relations().get(relation)
        if phrase:
            pronouns = persons(world).get(subject)
            found.append(Told(fact, name(subject, slot_of, story.attributes["hero"]), pronouns, phrase))
    return found


def name(subject: str, slot_of: Mapping[str, str], hero: str) -> str:
    """What a subject is called in a sentence."""
    if slot_of.get(subject) == RELATIVE:
        return f"{hero}'s {subject}"
    return subject if subject[0].isupper() else f"the {subject}"


def sentence(text: str) -> str:
    """The text with a capital first letter."""
    return text[0].upper() + text[1:]


@cache
def relations() -> dict[str, Relation]:
    """Relation, or relation and slot of the object, -> how it is said."""
    import yaml

    entries = yaml.safe_load(Path(__file__).with_name("phrasing.yaml").read_text(encoding="utf-8"))
    return {relation: Relation(**entry) for relation, entry in entries.items()}


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
    for story in world.sample(1_000, seed=0):
        for claim in told(world, story, story.facts):
            subject, relation, object_ = claim.fact
            if subject == story.attributes["hero"]:
                found.setdefault(relation, {}).setdefault(object_, claim)
    return {relation: tuple(by_object.values()) for relation, by_object in found.items()}


def rivals(world: StoryWorld, claim: Told, text: str) -> list[Told]:
    """What other heroes do in the claim's relation to things that a text does not mention; ruled out if it is true."""
    others = claims(world).get(claim.fact[1], ()) if claim.is_deniable else ()
    return [other for other in others if other.fact[2] not in text]
