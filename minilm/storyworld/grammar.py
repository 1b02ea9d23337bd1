"""The parts of a story grammar as data: slots and their fillers, templates, scenes, plots.

`loading.py` makes a `Grammar` from the file that a teacher edits, `validation.py` proves it sound,
`compiling.py` turns it into a graph to walk. Every part remembers its line, so that an error can name it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from minilm.storyworld.documents import Kind, Relation
from minilm.storyworld.parts import ARTICLE, Filler, Fork, Mention, Part, Text, literal

__all__ = [
    "ARTICLE", "HERO", "Fact", "Filler", "Fork", "Grammar", "GrammarError", "Mention", "Part", "Plot", "Scene", "Slot",
    "Template", "Text", "Weights", "shares",
]  # fmt: skip

HERO = "hero"
"""The slot that every story must mention: one of its attributes."""


class GrammarError(ValueError):
    """An invalid grammar; the message names the file and the line."""

    def __init__(self, source: str, line: int, message: str) -> None:
        super().__init__(f"{source}:{line}: {message}")
        self.source, self.line = source, line


@dataclass(frozen=True, slots=True)
class Slot:
    """A role: bound to one filler at its first mention in a story, or, when `free`, drawn again each time."""

    name: str
    fillers: tuple[Filler, ...]
    free: bool
    line: int


Fact = tuple[tuple[Part, ...], tuple[Part, ...], tuple[Part, ...]]
"""A triple (subject, relation, object) that a template tells; each part of texts and mentions."""


def say_fact(fact: Fact, bound: Mapping[str, Filler]) -> tuple[str, str, str]:
    """A triple in words, its slots filled."""
    subject, relation, target = (
        "".join([p.say(bound[p.slot]) if isinstance(p, Mention) else literal([p]) for p in side])
        for side in fact
    )
    return subject, relation, target


Weights = Mapping[str, float]
"""Scene names and their chances, summing to 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """One way to tell a scene, in one or several sentences."""

    parts: tuple[Part, ...]
    weight: float
    facts: tuple[Fact, ...]
    next: Weights
    """Where the story goes from here when not where its scene says; empty: as the scene says."""
    line: int


@dataclass(frozen=True, slots=True)
class Scene:
    """A step of a plot: one of its templates is told, then the story continues with `next` or ends."""

    name: str
    templates: tuple[Template, ...]
    next: Weights
    ending: str | None
    """How the story ends here ("happy", "sad"); None where it continues."""
    line: int


@dataclass(frozen=True, slots=True)
class Plot:
    """A weighted acyclic graph of scenes."""

    name: str
    weight: float
    start: str
    scenes: Mapping[str, Scene]
    cast: Mapping[str, tuple[int, ...]]
    """For every slot, the indices of the fillers that this plot draws from."""
    group: str
    """Which kinds of document tell it: those of the same group."""
    lines: bool
    """Whether each scene begins a new line, as in a letter; else a space joins them."""
    line: int


@dataclass(frozen=True, slots=True)
class Grammar:
    """All that a story world can tell."""

    source: str
    """The file it was read from, for messages."""
    keywords: Mapping[str, int]
    """The words whose occurrence is an attribute, each with the line that lists it."""
    agreement_forms: frozenset[str]
    """Names of the forms that refer back, which only a bound slot has: {hero.he}."""
    slots: Mapping[str, Slot]
    plots: Mapping[str, Plot]
    kinds: Mapping[str, Kind]
    """The kinds of document, each with its weight and its notations."""
    relations: Mapping[str, Relation]
    """How facts are said and asked for."""
    nouns: Mapping[str, tuple[Part, ...]]
    """Slots that a note of words may name, with what it writes."""
    called: Mapping[str, tuple[Part, ...]]
    """What a slot, or a word, is called as the subject of a sentence: relative -> {hero}'s {relative}."""

    def pool(self, plot: Plot, slot: str) -> tuple[Filler, ...]:
        """The fillers that `plot` draws `slot` from."""
        fillers = self.slots[slot].fillers
        return tuple(fillers[index] for index in plot.cast[slot])


def shares(weights: Iterable[float]) -> list[float]:
    """Weights scaled to sum to 1.

    >>> shares([1, 3])
    [0.25, 0.75]
    """
    weights = list(weights)
    total = sum(weights)
    return [weight / total for weight in weights]
