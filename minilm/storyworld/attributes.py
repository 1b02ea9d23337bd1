"""Conditioning on what a document will turn out to be: its kind, a keyword in it, its ending, its plot, its hero.

Doob's h-transform. Let h(s) be the probability that a story in state s will have the attribute. A walk whose
every step s -> s' is taken with probability P(s'|s) h(s') / h(s) has exactly the law of the stories that have
it. A state is a node and whether the attribute is settled: once the keyword has been said, or the hero named,
h = 1 and the walk is free.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from minilm.storyworld.automaton import Automaton, Branch, Differ, End, Mark, Node, Recall, Say, Told, Write
from minilm.storyworld.grammar import HERO


class Outlook(NamedTuple):
    """What a step means for an attribute."""

    chance: float
    """h after the step."""
    settled: bool
    """Whether the attribute is certain from here on."""


CERTAIN = Outlook(1.0, True)


class Condition:
    """One attribute's value, with h for every node."""

    def __init__(self, automaton: Automaton, name: str, value: str) -> None:
        self.name, self.value, self.automaton = name, value, automaton
        self._slot = automaton.slots.index(HERO)
        self._filler = next(
            (i for i, f in enumerate(automaton.grammar.slots[HERO].fillers) if f.text == value), None
        )
        self._h: list[float] = []

    @property
    def prior(self) -> float:
        """P(attribute), the share of documents that have it."""
        return self.h(self.automaton.root)

    def h(self, index: int) -> float:
        """P(attribute | node) while it is not settled."""
        for node in self.automaton.nodes[len(self._h) : index + 1]:
            self._h.append(self._chance(node))
        return self._h[index]

    def after(self, node: Write | Say | Differ | End, filler: int) -> Outlook:
        """The outlook once `node` has spoken, with `filler` in its slot, when nothing was settled before."""
        if isinstance(node, End):
            return Outlook(self._chance(node), False)
        if self.name == "keyword" and isinstance(node, Write) and self.value in node.keywords:
            return CERTAIN
        if self.name == HERO and isinstance(node, Say) and node.slot == self._slot:
            return CERTAIN if filler == self._filler else Outlook(0.0, False)
        return Outlook(self._h[node.next], False)

    def _chance(self, node: Node) -> float:
        """h of a node whose successors have theirs."""
        if isinstance(node, Branch):
            return sum(p * self._h[n] for p, n in zip(*node, strict=True))
        if isinstance(node, Told | Mark | Differ | Recall):
            return self._h[node.next]
        if isinstance(node, End):
            return float(self.value == getattr(node, self.name, None))
        if isinstance(node, Say):
            return sum(p * self.after(node, i).chance for p, i in zip(node.chances, node.pool, strict=True))
        return self.after(node, -1).chance


def priors(automaton: Automaton) -> dict[str, dict[str, float]]:
    """For every attribute, the values that documents have, each with its exact share: one pass, and one for each keyword."""
    shares: dict[str, dict[str, float]] = {"kind": {}, "keyword": {}, "ending": {}, "plot": {}, HERO: {}}
    hero, of_fillers = automaton.slots.index(HERO), dict[int, float]()
    for node, mass, first in _masses(automaton, hero):
        if isinstance(node, End):
            for name in ("kind", "ending", "plot"):
                value = getattr(node, name)
                shares[name][value] = shares[name].get(value, 0.0) + mass
        elif isinstance(node, Say) and node.slot == hero:
            for filler, chance in zip(node.pool, node.chances, strict=True):
                of_fillers[filler] = of_fillers.get(filler, 0.0) + first * chance
    fillers = automaton.grammar.slots[HERO].fillers
    shares[HERO] = {fillers[i].text: share for i, share in of_fillers.items() if share}
    shares["keyword"] = {
        word: Condition(automaton, "keyword", word).prior for word in automaton.grammar.keywords
    }
    order = possible_values(automaton)
    return {name: {v: shares[name][v] for v in order[name] if shares[name].get(v)} for name in order}


def _masses(automaton: Automaton, hero: int) -> Iterator[tuple[Node, float, float]]:
    """(node, P(a document passes it), P(it does, and has not named its hero before)), each after all that lead to it."""
    passes, unnamed = [0.0] * (automaton.root + 1), [0.0] * (automaton.root + 1)
    passes[automaton.root] = unnamed[automaton.root] = 1.0
    for index in range(automaton.root, -1, -1):
        node, mass, first = automaton.nodes[index], passes[index], unnamed[index]
        if not mass:
            continue
        yield node, mass, first
        named = isinstance(node, Say) and node.slot == hero
        ways = (
            zip(*node, strict=True)
            if isinstance(node, Branch)
            else ()
            if isinstance(node, End)
            else [(1.0, node.next)]
        )
        for chance, following in ways:
            passes[following] += mass * chance
            unnamed[following] += 0.0 if named else first * chance


def possible_values(automaton: Automaton) -> dict[str, tuple[str, ...]]:
    """Every value that the grammar writes down for each attribute, in the file's order."""
    ends = [node for node in automaton.nodes if isinstance(node, End)]
    return {
        "kind": tuple(automaton.grammar.kinds),
        "keyword": tuple(automaton.grammar.keywords),
        "ending": tuple(dict.fromkeys(end.ending for end in ends)),
        "plot": tuple(automaton.grammar.plots),
        HERO: tuple(filler.text for filler in automaton.grammar.slots[HERO].fillers),
    }
