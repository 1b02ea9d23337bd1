"""All documents as one acyclic graph of small steps, from the choice of a kind to the end of the document.

A walk from `root` to an `End` is a derivation; what its `Write` and `Say` steps say is a text. Which step
follows never depends on what fills a slot, so much can be computed by one backward pass over the nodes alone:
they are numbered so that each comes after all that may follow it. Equal nodes are one node, so that ways that
have the same future meet. Only questions about a story, and its facts written after it, depend on what it has told:
that part of the graph is added when it is needed (`Recall`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from minilm.storyworld.grammar import Fact, Grammar, Mention, Template, shares

FREE = -1
"""The slot index of a free word, and the filler index of a slot that is not bound yet."""
STORY_MARK, TARGET_MARK = "story", "target"


class Write(NamedTuple):
    """Literal text."""

    text: str
    keywords: frozenset[str]
    forget: bool
    """Whether all slots are free again after it: another example begins."""
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


class Differ(NamedTuple):
    """A wrong answer: says any filler of the pool but the one that the slot has, each as likely; binds nothing."""

    mention: Mention
    slot: int
    pool: tuple[int, ...]
    next: int


class Branch(NamedTuple):
    """A choice: of kind, notation, plot, template, alternative, scene..."""

    chances: tuple[float, ...]
    nodes: tuple[int, ...]


class Told(NamedTuple):
    """The end of a template; says nothing."""

    scene: str
    template: Template
    facts: tuple[int, ...]
    """Numbers of the facts to remember (see `Automaton.facts`), where a `Recall` is ahead."""
    next: int


class Recall(NamedTuple):
    """What follows depends on the facts that the story has told: it is compiled when they are known."""

    compile: Callable[[tuple[int, ...]], int]
    """From the facts remembered to the node that continues."""
    next: int
    """The node to which every way on from here comes."""


class Mark(NamedTuple):
    """Where something begins that is looked for later; says nothing."""

    what: str
    """"story": a story that begins after other words; "target": the last element of a document."""
    next: int


class End(NamedTuple):
    """The end of the document."""

    kind: str
    plot: str
    ending: str


Node = Write | Say | Differ | Branch | Told | Recall | Mark | End


class Leaf(NamedTuple):
    """A step that says something, ends the document or recalls, as it is reached from a node."""

    chance: float
    node: int
    facts: tuple[int, ...]
    """The facts told on the way, to be remembered."""


class Automaton:
    """The graph of a grammar; `minilm.storyworld.compiling` adds its nodes and sets the root."""

    root: int

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.nodes: list[Node] = []
        self.facts: list[Fact] = []
        """The facts that some story remembers, by number."""
        self.slots = [slot.name for slot in grammar.slots.values() if not slot.free]
        self.writers: dict[str, Any] = {}
        """What makes the nodes of each plot's texts, by the plot's name; kept here for what is compiled later."""
        self._known: dict[tuple[object, ...], int] = {}
        self._numbers: dict[Fact, int] = {}
        self._recalled: dict[tuple[int, tuple[int, ...]], int] = {}
        self._leaves: list[tuple[Leaf, ...]] = []
        self._slots_ahead: list[tuple[int, ...]] = []
        self._skip: list[int] = []

    def add(self, node: Node) -> int:
        """The number of a node whose successors are all in the graph already; an equal node is not added twice."""
        key = (type(node), node)
        if key not in self._known:
            self._known[key] = len(self.nodes)
            self.nodes.append(node)
        return self._known[key]

    def branch(self, options: list[tuple[float, int]]) -> int:
        """A node that leads to one of several by weight; the node itself if there is only one."""
        options = [(weight, node) for weight, node in options if weight > 0]
        if len(options) == 1:
            return options[0][1]
        weights, nodes = zip(*options, strict=True)
        return self.add(Branch(tuple(shares(weights)), nodes))

    def number(self, fact: Fact) -> int:
        """The number by which a fact is remembered."""
        if fact not in self._numbers:
            self._numbers[fact] = len(self.facts)
            self.facts.append(fact)
        return self._numbers[fact]

    def recall(self, index: int, facts: tuple[int, ...]) -> int:
        """The node that follows a `Recall` when these facts were told; new nodes are added when they are needed."""
        if (index, facts) not in self._recalled:
            node = self.nodes[index]
            self._recalled[index, facts] = node.compile(facts) if isinstance(node, Recall) else index
        return self._recalled[index, facts]

    def leaves(self, index: int) -> tuple[Leaf, ...]:
        """The next steps from a node that say something, end or recall."""
        for node in self.nodes[len(self._leaves) : index + 1]:
            self._leaves.append(tuple(self._leaves_of(node)))
        return self._leaves[index]

    def _leaves_of(self, node: Node) -> Iterator[Leaf]:
        if isinstance(node, Told | Mark):
            told = node.facts if isinstance(node, Told) else ()
            yield from (leaf._replace(facts=told + leaf.facts) for leaf in self._leaves[node.next])
        elif isinstance(node, Branch):
            for chance, following in zip(*node, strict=True):
                yield from (leaf._replace(chance=chance * leaf.chance) for leaf in self._leaves[following])
        else:
            yield Leaf(1.0, len(self._leaves), ())

    def slots_ahead(self, index: int) -> tuple[int, ...]:
        """The places in a state's bindings that decide what may be said next at a node; -1 is the memory."""
        while len(self._slots_ahead) <= index:
            steps = [self.nodes[leaf.node] for leaf in self.leaves(len(self._slots_ahead))]
            slots = {step.slot for step in steps if isinstance(step, Say | Differ)} - {FREE}
            everything = range(len(self.slots) + 1)  # a recall may lead to any mention
            recalls = any(isinstance(step, Recall) for step in steps)
            self._slots_ahead.append(tuple(everything) if recalls else tuple(sorted(slots)))
        return self._slots_ahead[index]

    def skip(self, index: int) -> int:
        """The first node from here on that is not passed in silence: where derivations with one future meet.

        What has to be remembered is kept apart, and so is where a target begins, which `Oracle.target_log_prob` asks for.
        """
        for number, node in enumerate(self.nodes[len(self._skip) : index + 1], start=len(self._skip)):
            if (isinstance(node, Mark) and node.what != TARGET_MARK) or (
                isinstance(node, Told) and not node.facts
            ):
                self._skip.append(self._skip[node.next])
            else:
                self._skip.append(number)
        return self._skip[index]
