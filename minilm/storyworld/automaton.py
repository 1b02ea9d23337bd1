"""A grammar as one acyclic graph of small steps, from the choice of a plot to the end of a story.

A walk from `root` to an `End` is a derivation; what its `Write` and `Say` steps say is a story. Which step
follows never depends on what fills a slot, so much can be computed by one backward pass over the nodes alone:
they are numbered so that each comes after all that may follow it.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

from minilm.storyworld.grammar import Fork, Grammar, Mention, Part, Plot, Scene, Template, Text, shares
from minilm.storyworld.markup import spaced
from minilm.storyworld.validation import keywords_in, successors

FREE = -1
"""The slot index of a free word, and the filler index of a slot that is not bound yet."""


class Write(NamedTuple):
    """Literal text."""

    text: str
    keywords: frozenset[str]
    next: int


class Say(NamedTuple):
    """A mention: says the slot's filler, and draws it from `pool` where the slot is free or unbound."""

    mention: Mention
    slot: int
    """Index of the slot, or FREE."""
    pool: tuple[int, ...]
    """Indices of the fillers that may be drawn."""
    chances: tuple[float, ...]
    next: int


class Branch(NamedTuple):
    """A choice of plot, template, alternative or scene."""

    chances: tuple[float, ...]
    nodes: tuple[int, ...]


class Told(NamedTuple):
    """The end of a template; says nothing."""

    scene: str
    template: Template
    next: int


class End(NamedTuple):
    """The end of the story."""

    plot: str
    ending: str


Node = Write | Say | Branch | Told | End


class Automaton:
    """The graph of a grammar."""

    nodes: list[Node]
    root: int

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.nodes = []
        self.slots = [slot.name for slot in grammar.slots.values() if not slot.free]
        plots = [
            (plot.weight, _PlotCompiler(self, plot).start()) for plot in grammar.plots.values() if plot.weight
        ]
        self.root = self.branch(plots)

    def add(self, node: Node) -> int:
        """Append a node whose successors all stand in the graph already; its number."""
        self.nodes.append(node)
        return len(self.nodes) - 1

    def branch(self, options: list[tuple[float, int]]) -> int:
        """A node that goes on to one of several by weight; the one itself where there is no choice."""
        options = [(weight, node) for weight, node in options if weight > 0]
        if len(options) == 1:
            return options[0][1]
        weights, nodes = zip(*options, strict=True)
        return self.add(Branch(tuple(shares(weights)), nodes))

    @cached_property
    def leaves(self) -> list[tuple[tuple[float, int], ...]]:
        """For every node, the (probability, node) pairs of the next steps that say something or end."""
        leaves: list[tuple[tuple[float, int], ...]] = []
        for index, node in enumerate(self.nodes):
            if isinstance(node, Told):
                leaves.append(leaves[node.next])
            elif isinstance(node, Branch):
                reached = [(p * q, n) for p, m in zip(*node, strict=True) for q, n in leaves[m]]
                leaves.append(tuple(reached))
            else:
                leaves.append(((1.0, index),))
        return leaves

    @cached_property
    def slots_ahead(self) -> list[tuple[int, ...]]:
        """For every node, the slots whose binding decides what may be said next."""
        says = [
            [self.nodes[n] for _, n in leaves if isinstance(self.nodes[n], Say)] for leaves in self.leaves
        ]
        return [tuple(sorted({say.slot for say in ahead} - {FREE})) for ahead in says]

    @cached_property
    def silent_skip(self) -> list[int]:
        """For every node, the first that is no `Told`: where derivations that differ only in the past meet."""
        skip: list[int] = []
        for index, node in enumerate(self.nodes):
            skip.append(skip[node.next] if isinstance(node, Told) else index)
        return skip


class _PlotCompiler:
    """Adds one plot's scenes to an automaton, from the endings back to the start."""

    def __init__(self, automaton: Automaton, plot: Plot) -> None:
        self.automaton, self.plot, self.grammar = automaton, plot, automaton.grammar
        self._scenes: dict[str, int] = {}

    def start(self) -> int:
        return self._scene(self.plot.scenes[self.plot.start])

    def _scene(self, scene: Scene) -> int:
        if scene.name not in self._scenes:
            options = [(t.weight, self._template(scene, t)) for t in scene.templates if t.weight]
            self._scenes[scene.name] = self.automaton.branch(options)
        return self._scenes[scene.name]

    def _template(self, scene: Scene, template: Template) -> int:
        node = self.automaton.add(Told(scene.name, template, self._after(scene, template)))
        first, *rest = template.parts
        if scene.name != self.plot.start:
            first = spaced(first)
        return self._parts((first, *rest), node)

    def _after(self, scene: Scene, template: Template) -> int:
        follows = successors(scene, template)
        if not follows:
            return self.automaton.add(End(self.plot.name, scene.ending))
        return self.automaton.branch([(w, self._scene(self.plot.scenes[n])) for n, w in follows.items() if w])

    def _parts(self, parts: tuple[Part, ...], node: int) -> int:
        """The first node of a sequence that goes on to `node`."""
        for part in reversed(parts):
            if isinstance(part, Fork):
                node = self.automaton.branch([(1.0, self._parts(option, node)) for option in part.options])
            elif isinstance(part, Text):
                keywords = frozenset(keywords_in(part.text, self.grammar.keywords))
                node = self.automaton.add(Write(part.text, keywords, node))
            else:
                node = self._say(part, node)
        return node

    def _say(self, mention: Mention, node: int) -> int:
        slot, pool = self.grammar.slots[mention.slot], self.plot.cast[mention.slot]
        index = FREE if slot.free else self.automaton.slots.index(slot.name)
        chances = shares(slot.fillers[i].weight for i in pool)
        return self.automaton.add(Say(mention, index, pool, tuple(chances), node))
