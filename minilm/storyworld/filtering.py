"""Following all derivations that a token sequence can still mean.

A hypothesis is either between two pieces of text, where only its node and bindings count, or inside a piece, after
some of its tokens. Slots not mentioned yet stay unbound, so few hypotheses are alive at a time; those with the same
future merge.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

from minilm.storyworld.attributes import CERTAIN, Condition, Outlook
from minilm.storyworld.automaton import FREE, Automaton, Differ, End, Leaf, Mark, Recall, Say, Write
from minilm.storyworld.grammar import shares
from minilm.storyworld.units import Encoder

Said = Write | Say | Differ | End
"""A step that says something."""


class State(NamedTuple):
    """Between two pieces: all that the rest of the story depends on."""

    node: int
    bindings: tuple[Any, ...]
    """(slots + 1,) the filler of each slot, FREE where it is not bound yet; last the facts to remember."""
    settled: bool
    """Whether the condition needs no more watching."""


class Piece(NamedTuple):
    """A text that may be said next."""

    tokens: tuple[int, ...]
    chance: float
    """Its probability among the pieces that may be said here, under the condition."""
    next: int
    """The node after it."""
    slot: int
    filler: int
    """What it binds: `slot` to `filler`, or nothing when slot is FREE."""
    settled: bool
    facts: tuple[int, ...]
    """Facts told before it, to be remembered from now on."""
    keeps: bool
    """Whether what was remembered before stays so."""
    forgets: bool
    """Whether all slots are free again after it."""


class Expansion(NamedTuple):
    """All pieces that may be said in a state, by first token."""

    chances: dict[int, float]
    """The probability of each first token; they sum to 1."""
    pieces: dict[int, list[Piece]]


@dataclass(slots=True)
class Belief:
    """The hypotheses alive after some tokens, with weights that sum to 1."""

    between: dict[State, float] = field(default_factory=lambda: defaultdict(float))
    inside: list[tuple[float, Piece, int, tuple[Any, ...]]] = field(default_factory=list)
    """(weight, piece, number of its tokens read, bindings)."""


class Filter:
    """Exact beliefs over an automaton's stories, in a tokenizer's tokens, under a condition or none."""

    def __init__(self, automaton: Automaton, encoder: Encoder, condition: Condition | None = None) -> None:
        self.automaton, self.encoder, self.condition = automaton, encoder, condition
        self._expansions: dict[tuple[int, tuple[Any, ...], bool], Expansion] = {}
        self._start = State(automaton.root, ((FREE,) * len(automaton.slots) + ((),)), condition is None)

    @property
    def prior(self) -> float:
        """The probability of the condition before the first token; 1 without one."""
        return 1.0 if self.condition is None else self.condition.prior

    def start(self) -> Belief:
        """Before the first token of a story."""
        belief = Belief()
        belief.between[self._start] = 1.0
        return belief

    def at_target(self, belief: Belief) -> Belief:
        """The belief given that a target begins here; the same where none can."""
        nodes = self.automaton.nodes
        here = {s: w for s, w in belief.between.items() if isinstance(nodes[s.node], Mark)}
        if not here:
            return belief
        total, after = sum(here.values()), Belief()
        for state, weight in here.items():
            after.between[state] = weight / total
        return after

    def next_tokens(self, belief: Belief) -> dict[int, float]:
        """The probability of every token that may come next; empty once no story is left."""
        row: dict[int, float] = defaultdict(float)
        for weight, piece, read, _ in belief.inside:
            row[piece.tokens[read]] += weight
        for state, weight in belief.between.items():
            for token, chance in self.expand(state).chances.items():
                row[token] += weight * chance
        return row

    def read(self, belief: Belief, token: int, probability: float) -> Belief:
        """The belief after a token that had `probability` > 0: Bayes' rule, the impossible dropped."""
        after = Belief()
        for weight, piece, read, bindings in belief.inside:
            if piece.tokens[read] == token:
                self._move(after, weight / probability, piece, read + 1, bindings)
        for state, weight in belief.between.items():
            for piece in self.expand(state).pieces.get(token, ()):
                self._move(after, weight * piece.chance / probability, piece, 1, state.bindings)
        return after

    def rows(self, ids: Iterable[int]) -> Iterator[tuple[dict[int, float], int | None]]:
        """(next-token probabilities, the token that came) at every position, the last with None."""
        belief = self.start()
        for token in ids:
            row = self.next_tokens(belief)
            yield row, token
            probability = row.get(token, 0.0)
            belief = self.read(belief, token, probability) if probability > 0 else Belief()
        yield self.next_tokens(belief), None

    def expand(self, state: State) -> Expansion:
        """What may be said in a state; remembered by what it depends on."""
        key = (
            state.node,
            tuple(state.bindings[slot] for slot in self.automaton.slots_ahead(state.node)),
            state.settled,
        )
        if key not in self._expansions:
            self._expansions[key] = self._expand(state)
        return self._expansions[key]

    def _expand(self, state: State) -> Expansion:
        chances: dict[int, float] = defaultdict(float)
        pieces: dict[int, list[Piece]] = defaultdict(list)
        for piece in self._pieces(state):
            chances[piece.tokens[0]] += piece.chance
            pieces[piece.tokens[0]].append(piece)
        return Expansion(chances, pieces)

    def _pieces(self, state: State) -> Iterator[Piece]:
        """Every text that may follow, with its probability P(step) h(after) / h(before)."""
        condition = None if state.settled else self.condition
        before = 1.0 if condition is None else condition.h(state.node)
        for leaf, keeps in self._leaves(state.node, state.bindings[-1]):
            node = cast(Said, self.automaton.nodes[leaf.node])
            for filler, chance in self._fillers(node, state.bindings):
                after = CERTAIN if condition is None else self._after(condition, node, filler)
                if after.chance > 0:
                    share = leaf.chance * chance * after.chance / before
                    yield self._piece(node, filler, share, after.settled, leaf.facts, keeps)

    def _leaves(self, index: int, told: tuple[int, ...]) -> Iterator[tuple[Leaf, bool]]:
        """The steps that may come next, each with whether what is remembered stays so; recalls are followed."""
        for leaf in self.automaton.leaves(index):
            if isinstance(self.automaton.nodes[leaf.node], Recall):
                following = self.automaton.recall(leaf.node, told + leaf.facts)
                for each in self.automaton.leaves(following):
                    yield each._replace(chance=leaf.chance * each.chance), False
            else:
                yield leaf, True

    def _after(self, condition: Condition, node: Said, filler: int) -> Outlook:
        if not isinstance(node, End):
            condition.h(node.next)
        return condition.after(node, filler)

    def _fillers(self, leaf: Said, bindings: tuple[Any, ...]) -> Iterable[tuple[int, float]]:
        """The fillers that a step may say, with their chances; a step without slot has one way."""
        if isinstance(leaf, Differ):
            others = [filler for filler in leaf.pool if filler != bindings[leaf.slot]]
            return zip(others, shares([1.0] * len(others)), strict=True)
        if not isinstance(leaf, Say):
            return ((FREE, 1.0),)
        if leaf.slot != FREE and bindings[leaf.slot] != FREE:
            return ((bindings[leaf.slot], 1.0),)
        return zip(leaf.pool, leaf.chances, strict=True)

    def _piece(
        self, leaf: Said, filler: int, chance: float, settled: bool, facts: tuple[int, ...], keeps: bool
    ) -> Piece:
        if isinstance(leaf, End):  # the next document begins after it
            tokens = (self.encoder.tokenizer.end_of_text,)
            return Piece(
                tokens, chance, self.automaton.root, FREE, FREE, self._start.settled, (), False, True
            )
        if isinstance(leaf, Write):
            ids = self.encoder(leaf.text)
            return Piece(ids, chance, leaf.next, FREE, FREE, settled, facts, keeps, leaf.forget)
        text = leaf.mention.say(self.automaton.grammar.slots[leaf.mention.slot].fillers[filler])
        slot = FREE if isinstance(leaf, Differ) else leaf.slot
        return Piece(self.encoder(text), chance, leaf.next, slot, filler, settled, facts, keeps, False)

    def _move(
        self, belief: Belief, weight: float, piece: Piece, read: int, bindings: tuple[Any, ...]
    ) -> None:
        """Add a hypothesis that has read `read` tokens of `piece`."""
        if read < len(piece.tokens):
            belief.inside.append((weight, piece, read, bindings))
            return
        if piece.forgets:
            bindings = self._start.bindings
        else:
            if piece.facts or not piece.keeps:
                bindings = (*bindings[:-1], (bindings[-1] if piece.keeps else ()) + piece.facts)
            if piece.slot != FREE:
                bindings = (*bindings[: piece.slot], piece.filler, *bindings[piece.slot + 1 :])
        belief.between[State(self.automaton.skip(piece.next), bindings, piece.settled)] += weight
