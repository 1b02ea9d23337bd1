"""A part of an automaton over again, given that its story has a keyword: Doob's h-transform, as in `attributes`."""

from __future__ import annotations

from minilm.storyworld.automaton import Automaton, Branch, End, Write


class Conditioned:
    """A copy of part of a graph: the rest of an example, given that its story has a keyword."""

    def __init__(self, automaton: Automaton, keyword: str) -> None:
        self.automaton, self.keyword = automaton, keyword
        self._chances: dict[int, float] = {}
        self._nodes: dict[int, int] = {}

    def chance(self, index: int) -> float:
        """P(keyword | node), within this example."""
        if index not in self._chances:
            node = self.automaton.nodes[index]
            if isinstance(node, Branch):
                value = sum(p * self.chance(n) for p, n in zip(*node, strict=True))
            elif isinstance(node, Write) and self.keyword in node.keywords:
                value = 1.0
            elif isinstance(node, End) or (isinstance(node, Write) and node.forget):
                value = 0.0
            else:
                value = self.chance(node.next)
            self._chances[index] = value
        return self._chances[index]

    def node(self, index: int) -> int:
        """The copy of a node whose chance is positive; once the keyword is said, the node itself."""
        if index not in self._nodes:
            node = self.automaton.nodes[index]
            if isinstance(node, Branch):
                ways = [(p * self.chance(n), n) for p, n in zip(*node, strict=True)]
                copy = self.automaton.branch([(weight, self.node(n)) for weight, n in ways if weight > 0])
            elif isinstance(node, End) or (isinstance(node, Write) and self.keyword in node.keywords):
                copy = index
            else:
                copy = self.automaton.add(node._replace(next=self.node(node.next)))
            self._nodes[index] = copy
        return self._nodes[index]
