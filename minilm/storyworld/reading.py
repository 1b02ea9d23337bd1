"""Reading a text back: which facts a story, or the beginning of one, tells, by its most probable derivation.

The walk goes letter by letter, so no tokenizer is needed. Two ways that come to the same place with the same slots bound
have the same future; of them the more probable one is kept (Viterbi, 1967).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from typing import NamedTuple

from minilm.storyworld.automaton import FREE, Automaton, Branch, Mark, Node, Say, Told, Write
from minilm.storyworld.grammar import say_fact

Facts = tuple[tuple[str, str, str], ...]


class Reading(NamedTuple):
    """What a text was understood as."""

    facts: Facts
    """The (subject, relation, object) triples of the passages that were read whole, in the order of telling."""
    possible: bool
    """Whether the text is a story, or the beginning of one."""
    read: int
    """Letters read before the text left the world; all of them where it is possible."""


class _Way(NamedTuple):
    """One way to have read the text so far."""

    log_chance: float
    facts: Facts


class _Place(NamedTuple):
    """The place that a way has reached; sorts so that each place comes after all that lead to it."""

    at: int
    """Letters read."""
    back: int
    """The node's number, negative: nodes are numbered from the end."""
    bindings: tuple[int, ...]


class Reader:
    """Reads texts in an automaton of plain stories."""

    def __init__(self, automaton: Automaton) -> None:
        self.automaton = automaton
        self.slots = [automaton.grammar.slots[name] for name in automaton.slots]

    def read(self, text: str) -> Reading:
        """The most probable reading of a text; space at its ends does not count."""
        text = text.strip()
        start = _Place(0, -self.automaton.root, (FREE,) * len(self.slots))
        ways, queue = {start: _Way(0.0, ())}, [start]
        ends: list[_Way] = []
        furthest, partial = 0, (0, _Way(0.0, ()))
        while queue:
            place = heapq.heappop(queue)
            way = ways.pop(place)
            node = self.automaton.nodes[-place.back]
            furthest = max(furthest, place.at)
            if isinstance(node, Told):
                way = way._replace(facts=way.facts + self._facts(node, place.bindings))
                partial = max(partial, (place.at, way), key=lambda pair: (pair[0], pair[1].log_chance))
            elif place.at == len(text) or self._is_cut(node, text[place.at :], place.bindings):
                ends.append(way)
                continue
            for following, chance in self._steps(node, place, text):
                self._go(ways, queue, following, _Way(way.log_chance + math.log(chance), way.facts))
        if ends:
            return Reading(max(ends).facts, True, len(text))
        return Reading(partial[1].facts, False, furthest)

    def _go(self, ways: dict[_Place, _Way], queue: list[_Place], place: _Place, way: _Way) -> None:
        """Come to a place, unless a better way has come there."""
        if place not in ways:
            heapq.heappush(queue, place)
        if place not in ways or way.log_chance > ways[place].log_chance:
            ways[place] = way

    def _is_cut(self, node: Node, rest: str, bindings: tuple[int, ...]) -> bool:
        """Whether the text stops within what comes next."""
        if isinstance(node, Write):
            return node.text != rest and node.text.startswith(rest)
        if isinstance(node, Say):
            says = (said for said, _, _ in self._says(node, bindings))
            return any(said != rest and said.startswith(rest) for said in says)
        return False

    def _steps(self, node: Node, place: _Place, text: str) -> Iterator[tuple[_Place, float]]:
        """Where the walk may lead next, each with its chance."""
        if isinstance(node, Branch):
            for chance, following in zip(*node, strict=True):
                yield place._replace(back=-following), chance
        elif isinstance(node, Told | Mark):
            yield place._replace(back=-node.next), 1.0
        elif isinstance(node, Write) and text.startswith(node.text, place.at):
            yield _Place(place.at + len(node.text), -node.next, place.bindings), 1.0
        elif isinstance(node, Say):
            for said, filler, chance in self._says(node, place.bindings):
                if text.startswith(said, place.at):
                    bound = place.bindings
                    if node.slot != FREE:
                        bound = (*bound[: node.slot], filler, *bound[node.slot + 1 :])
                    yield _Place(place.at + len(said), -node.next, bound), chance

    def _says(self, node: Say, bindings: tuple[int, ...]) -> Iterator[tuple[str, int, float]]:
        """What a mention may write: (text, filler, chance)."""
        fillers = self.automaton.grammar.slots[node.mention.slot].fillers
        if node.slot != FREE and bindings[node.slot] != FREE:
            yield node.mention.say(fillers[bindings[node.slot]]), bindings[node.slot], 1.0
            return
        for filler, chance in zip(node.pool, node.chances, strict=True):
            yield node.mention.say(fillers[filler]), filler, chance

    def _facts(self, node: Told, bindings: tuple[int, ...]) -> Facts:
        bound = {
            slot.name: slot.fillers[i] for slot, i in zip(self.slots, bindings, strict=True) if i != FREE
        }
        return tuple(say_fact(fact, bound) for fact in node.template.facts)
