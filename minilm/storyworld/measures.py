"""Exact figures of a whole grammar, each by one pass over its automaton."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import TypeVar

from minilm.storyworld.automaton import (
    FREE,
    Automaton,
    Branch,
    Differ,
    End,
    Mark,
    Node,
    Recall,
    Say,
    Told,
    Write,
)
from minilm.storyworld.grammar import shares

Figure = TypeVar("Figure", int, float)


def is_static(automaton: Automaton) -> bool:
    """Whether no part of the graph is added only when it is needed, so that a pass over the nodes sees all."""
    return not any(isinstance(node, Recall) for node in automaton.nodes)


def count_derivations(automaton: Automaton) -> int:
    """How many different ways there are to choose plot, scenes, templates, alternatives and fillers."""

    @cache
    def count(index: int, bound: frozenset[int]) -> int:
        node = automaton.nodes[index]
        if isinstance(node, End):
            return 1
        if isinstance(node, Branch):
            return sum(count(n, bound) for n in node.nodes)
        if isinstance(node, Say) and node.slot not in bound:
            return len(node.pool) * count(node.next, _bind(bound, node))
        if isinstance(node, Differ):
            return (len(node.pool) - 1) * count(node.next, bound)
        return count(node.next, _kept(bound, node))

    return _from_root(automaton, count)


def derivation_entropy(automaton: Automaton) -> float:
    """H(derivation) in nats: the mean surprise of all choices that make a story, in total."""

    @cache
    def entropy(index: int, bound: frozenset[int]) -> float:
        node = automaton.nodes[index]
        if isinstance(node, End):
            return 0.0
        if isinstance(node, Branch):
            return sum(p * (entropy(n, bound) - math.log(p)) for p, n in zip(*node, strict=True))
        if isinstance(node, Say) and node.slot not in bound:
            return entropy(node.next, _bind(bound, node)) - sum(p * math.log(p) for p in node.chances)
        if isinstance(node, Differ):
            return entropy(node.next, bound) + math.log(len(node.pool) - 1)
        return entropy(node.next, _kept(bound, node))

    return _from_root(automaton, entropy)


def mean_length(automaton: Automaton, length: Callable[[str], int]) -> float:
    """The mean over stories of the summed `length` of their pieces (literals and mentions).

    A slot's filler has the same distribution wherever it is first mentioned, so each mention can be averaged
    by itself.
    """
    mean: list[float] = []
    for node in automaton.nodes:
        if isinstance(node, End):
            mean.append(0.0)
        elif isinstance(node, Branch):
            mean.append(sum(p * mean[n] for p, n in zip(*node, strict=True)))
        elif isinstance(node, Told | Mark | Recall):
            mean.append(mean[node.next])
        else:
            mean.append(mean[node.next] + _piece_length(automaton, node, length))
    return mean[automaton.root]


def _piece_length(automaton: Automaton, node: Write | Say | Differ, length: Callable[[str], int]) -> float:
    if isinstance(node, Write):
        return length(node.text)
    fillers = automaton.grammar.slots[node.mention.slot].fillers
    said = (length(node.mention.say(fillers[i])) for i in node.pool)
    chances = node.chances if isinstance(node, Say) else shares([1.0] * len(node.pool))
    return sum(p * n for p, n in zip(chances, said, strict=True))


def _bind(bound: frozenset[int], say: Say) -> frozenset[int]:
    return bound if say.slot == FREE else bound | {say.slot}


def _kept(bound: frozenset[int], node: Node) -> frozenset[int]:
    return frozenset() if isinstance(node, Write) and node.forget else bound


def _from_root(automaton: Automaton, measure: Callable[[int, frozenset[int]], Figure]) -> Figure:
    """`measure` at the root, with no slot bound."""
    return measure(automaton.root, frozenset())
