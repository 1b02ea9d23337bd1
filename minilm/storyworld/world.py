"""The story world: a grammar read from its file, documents drawn from it, and what is exactly known of them."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from minilm.storyworld.attributes import Condition, possible_values, priors
from minilm.storyworld.automaton import Automaton
from minilm.storyworld.compiling import compile_documents
from minilm.storyworld.documents import STORY, Kind, plain_kinds
from minilm.storyworld.grammar import Grammar, GrammarError
from minilm.storyworld.loading import load_grammar
from minilm.storyworld.measures import count_derivations, is_static
from minilm.storyworld.reading import Facts, Reader, Reading
from minilm.storyworld.sampling import Sampler, Story
from minilm.storyworld.yaml_nodes import read_file

GRAMMAR = Path(__file__).with_name("documents.yaml")
"""The grammar of the course; a teacher may edit it or pass another to `StoryWorld`."""
WORLDS = {"documents": GRAMMAR, "stories": GRAMMAR.with_name("stories.yaml")}
"""The worlds that come with the course: documents of many kinds, and a smaller one of plain stories."""

TOO_LONG = (
    "its longest story has too many words and scenes in a row, or brackets in brackets: make it shorter"
)

Attribute = tuple[str, str]
"""An attribute's name (kind, keyword, ending, plot or hero) and value: ("keyword", "because")."""


class StoryWorld:
    """All documents of a grammar, each with its exact probability; `only("story")` has the plain stories alone.

    Args:
        path: a grammar file, or a name from `WORLDS`; by default "documents".

    Raises:
        GrammarError: the grammar is invalid; the message names the line.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        path = Path(WORLDS.get(str(path), path)) if path is not None else GRAMMAR
        self._build(read_file(path), str(path))
        if path not in WORLDS.values():
            self._check_depth(str(path))

    @classmethod
    def from_text(cls, text: str) -> StoryWorld:
        """A world from the text of a grammar file."""
        world = cls.__new__(cls)
        world._build(text, "grammar")
        world._check_depth("grammar")
        return world

    def _build(self, text: str, source: str) -> None:
        try:
            self._set(load_grammar(text, source))
        except RecursionError:
            raise GrammarError(source, 1, TOO_LONG) from None

    def _check_depth(self, source: str) -> None:
        """Refuse a grammar whose graph is too deep to be built; the ones of the course are built when they are first needed."""
        try:
            self.automaton  # noqa: B018
        except RecursionError:
            raise GrammarError(source, 1, TOO_LONG) from None

    def _set(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self._conditions: dict[Attribute, Condition] = {}
        self._samplers: dict[Condition | None, Sampler] = {}
        self._restricted: dict[tuple[object, ...], StoryWorld] = {}

    @cached_property
    def automaton(self) -> Automaton:
        """The graph that all is computed on; made when it is first needed."""
        return compile_documents(self.grammar)

    @property
    def kinds(self) -> dict[str, float]:
        """Each kind of document with its share of all documents."""
        weights = {name: kind.weight for name, kind in self.grammar.kinds.items() if kind.weight > 0}
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}

    def only(self, *kinds: str, notation: str | None = None, **changes: Any) -> StoryWorld:
        """The world of these kinds of document alone.

        Args:
            kinds: names from `kinds`, or of a kind that weighs nothing; their weights stay as they are to each other.
            notation: write them in this notation only, a held-out one perhaps.
            changes: other values for fields of `Kind`: lengths={2: 1.0}, turns={3: 1.0}, plots=("lost",).

        Raises:
            ValueError: a kind, a notation or a plot that the world does not know; the known ones are listed.
        """
        key = (kinds, notation, repr(sorted(changes.items())))
        if key not in self._restricted:
            chosen = {name: self._restrict(name, notation, changes) for name in kinds}
            world = StoryWorld.__new__(type(self))
            world._set(replace(self.grammar, kinds=chosen))
            self._restricted[key] = world
        return self._restricted[key]

    def _restrict(self, name: str, notation: str | None, changes: dict[str, Any]) -> Kind:
        if name not in self.grammar.kinds:
            raise ValueError(
                f"no kind of document is called {name!r}; known: {', '.join(self.grammar.kinds)}"
            )
        kind = replace(self.grammar.kinds[name], **changes)
        strange = [plot for plot in kind.plots if plot not in self.grammar.plots]
        if strange:
            raise ValueError(f"no plot is called {strange[0]!r}; known: {', '.join(self.grammar.plots)}")
        if notation is not None and notation not in kind.notations:
            known = ", ".join(kind.notations)
            raise ValueError(f"kind {name!r} has no notation {notation!r}; known: {known}")
        if notation is not None:
            kind = replace(kind, notations={notation: replace(kind.notations[notation], weight=1.0)})
        return kind if kind.weight else replace(kind, weight=1.0)

    def sample(
        self, n: int, *, seed: int = 0, attribute: Attribute | None = None, kind: str | None = None
    ) -> list[Story]:
        """Draw `n` documents, of one kind if `kind` is given; with `attribute`, from the exact law of those that have it.

        Each document has a random stream of its own, so that sample(10)[:5] == sample(5).

        >>> StoryWorld().only("story").sample(1, seed=0)[0].attributes["kind"]
        'story'

        Raises:
            ValueError: an attribute, value or kind that the world does not know; the known ones are listed.
        """
        if n < 0:
            raise ValueError(f"n={n}: the number of stories cannot be negative")
        if kind is not None:
            return self.only(kind).sample(n, seed=seed, attribute=attribute)
        condition = self.condition(attribute)
        if condition not in self._samplers:
            self._samplers[condition] = Sampler(self.automaton, condition)
        return [self._samplers[condition].draw(seed, index) for index in range(n)]

    def reading(self, text: str) -> Reading:
        """What a text tells, as a story of any group of plots that these documents tell, whole or cut anywhere."""
        return self._reader.read(text)

    def facts_told(self, text: str) -> Facts | None:
        """The (subject, relation, object) triples that a story, or the beginning of one, tells.

        Those of its most probable derivation, in the order of telling; a passage that is cut does not count. None where
        the text is not the beginning of any story; `reading` says how far it is.
        """
        reading = self.reading(text)
        return reading.facts if reading.possible else None

    @cached_property
    def _reader(self) -> Reader:
        groups = dict.fromkeys(kind.group for kind in self.grammar.kinds.values())
        plain = {group: replace(plain_kinds()[STORY], name=group, group=group) for group in groups}
        return Reader(compile_documents(replace(self.grammar, kinds=plain)))

    def attributes(self) -> dict[str, dict[str, float]]:
        """For every attribute, the values it may take, each with the exact share of documents that have it."""
        return {name: dict(values) for name, values in self._priors.items()}

    @cached_property
    def _priors(self) -> dict[str, dict[str, float]]:
        return priors(self.automaton)

    def count_stories(self) -> int:
        """The exact number of derivations of plain stories; of distinct texts too, unless two derivations write the same."""
        plain = replace(self.grammar, kinds=plain_kinds())
        return count_derivations(self.automaton if is_static(self.automaton) else compile_documents(plain))

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
