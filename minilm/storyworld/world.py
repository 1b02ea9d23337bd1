"""The story world: a grammar read from its file, stories drawn from it, and what is exactly known of them."""

from __future__ import annotations

from pathlib import Path

from minilm.storyworld.attributes import Condition, possible_values
from minilm.storyworld.automaton import Automaton
from minilm.storyworld.grammar import GrammarError
from minilm.storyworld.loading import load_grammar
from minilm.storyworld.measures import count_derivations
from minilm.storyworld.sampling import Sampler, Story
from minilm.storyworld.yaml_nodes import read_file

GRAMMAR = Path(__file__).with_name("grammar.yaml")
"""The grammar of the course; a teacher may edit it or pass another to `StoryWorld`."""

TOO_LONG = (
    "its longest story has too many words and scenes in a row, or brackets in brackets: make it shorter"
)

Attribute = tuple[str, str]
"""An attribute's name (keyword, ending, plot or hero) and value: ("keyword", "because")."""


class StoryWorld:
    """All stories of a grammar, each with its exact probability.

    Args:
        path: a grammar file; by default the one of the course.

    Raises:
        GrammarError: the grammar cannot be told; the message names the line.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        path = Path(path) if path is not None else GRAMMAR
        self._build(read_file(path), str(path))

    @classmethod
    def from_text(cls, text: str) -> StoryWorld:
        """A world from the text of a grammar file."""
        world = cls.__new__(cls)
        world._build(text, "grammar")
        return world

    def _build(self, text: str, source: str) -> None:
        try:
            self.grammar = load_grammar(text, source)
            self.automaton = Automaton(self.grammar)
        except RecursionError:
            raise GrammarError(source, 1, TOO_LONG) from None
        self._conditions: dict[Attribute, Condition] = {}

    def sample(self, n: int, *, seed: int = 0, attribute: Attribute | None = None) -> list[Story]:
        """Draw `n` stories; with `attribute`, from the exact law of the stories that have it.

        Each story has a random stream of its own, so that sample(10)[:5] == sample(5).

        Raises:
            ValueError: an attribute or value that the world does not know; the known ones are listed.
        """
        if n < 0:
            raise ValueError(f"n={n}: the number of stories cannot be negative")
        sampler = Sampler(self.automaton, self.condition(attribute))
        return [sampler.draw(seed, index) for index in range(n)]

    def attributes(self) -> dict[str, dict[str, float]]:
        """For every attribute, the values it may take, each with the exact share of stories that have it."""
        return {
            name: {value: prior for value in values if (prior := self._condition(name, value).prior) > 0}
            for name, values in possible_values(self.automaton).items()
        }

    def count_stories(self) -> int:
        """The exact number of derivations; of distinct texts too, unless two derivations write the same."""
        return count_derivations(self.automaton)

    def condition(self, attribute: Attribute | None) -> Condition | None:
        """The h-transform of an attribute; None for none.

        Raises:
            ValueError: an attribute or value that the world does not know; the known ones are listed.
        """
        if attribute is None:
            return None
        if isinstance(attribute, str) or len(attribute) != 2:
            raise ValueError(f"an attribute is a pair such as ('ending', 'happy'), not {attribute!r}")
        name, value = attribute
        values = possible_values(self.automaton)
        if name not in values:
            raise ValueError(f"unknown attribute {name!r}; known: {', '.join(values)}")
        if value not in values[name] or self._condition(name, value).prior == 0:
            raise ValueError(f"no story has {name} {value!r}; known: {', '.join(self.attributes()[name])}")
        return self._condition(name, value)

    def _condition(self, name: str, value: str) -> Condition:
        if (name, value) not in self._conditions:
            self._conditions[name, value] = Condition(self.automaton, name, value)
        return self._conditions[name, value]
