"""One example of a document as nodes of an automaton: a story with what comes before and after it.

It is compiled from its end to its start, element by element. What comes before a story and depends on it is settled
first: facts by choosing the templates that tell them, a mood by weighing each choice by the endings that it leads to, a
keyword by a copy of the graph in which stories without it have no weight.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from typing import NamedTuple, cast

from minilm.storyworld.asking import Asker, Speech
from minilm.storyworld.automaton import STORY_MARK, TARGET_MARK, Automaton, End, Mark, Recall, Write
from minilm.storyworld.conditioning import Conditioned
from minilm.storyworld.documents import (
    ELEMENTS,
    ENDING,
    FACTS,
    KEYWORD,
    NOUNS,
    OPEN,
    QUESTIONS,
    STORY,
    Kind,
    Notation,
    dressed,
    filled,
)
from minilm.storyworld.grammar import Fact, Mention, Plot, Text
from minilm.storyworld.telling import Lengths, Path, Teller, Telling, writer_of
from minilm.storyworld.validation import always_bound


class Known(NamedTuple):
    """What earlier elements of a document have settled."""

    path: Path | None = None
    """The templates whose facts were written."""
    ending: str | None = None
    """The ending that was promised."""
    telling: Telling | None = None
    """What the story told, once it has been told."""


class Example:
    """Compiles one example of a document: a story with what comes before and after it."""

    def __init__(
        self, automaton: Automaton, kind: Kind, notation: Notation, plot: Plot, following: int | None
    ) -> None:
        self.automaton, self.kind, self.notation, self.plot = automaton, kind, notation, plot
        self.following = following
        """Where the next example begins; None after the last."""
        self.writer = writer_of(automaton, plot)
        self.speech = Speech(self.writer)
        self.parts = notation.parts
        places = {
            p.slot: i for i, p in enumerate(self.parts) if isinstance(p, Mention) and p.slot in ELEMENTS
        }
        self.place = places[STORY]
        self.target = max(places.values()) if following is None and len(places) > 1 else None
        """The part where the document's target begins."""
        self.remembers = any(places.get(element, -1) > self.place for element in (FACTS, QUESTIONS))
        """Whether something after the story depends on its facts."""
        self.mass = 1.0
        """What the plot's weight is multiplied by: the mean number of keywords in its stories, where one is named."""
        self._recalls: dict[int, int] = {}

    def start(self) -> int:
        """The node where it begins."""
        return self._from(0, Known())

    def after(self, telling: Telling) -> int:
        """The node after its story."""
        return self._from(self.place + 1, Known(telling=telling))

    def _from(self, index: int, known: Known) -> int:
        """The node where the parts from `index` on begin."""
        if index == len(self.parts):
            return self._end(known.telling.ending if known.telling else OPEN)
        part = self.parts[index]
        if not isinstance(part, Mention) or part.slot not in ELEMENTS:
            return self.writer.parts((part,), self._from(index + 1, known), counted=False)
        node = _COMPILE[part.slot](self, index, known)
        marked = index == self.target and part.slot != QUESTIONS
        return self.automaton.add(Mark(TARGET_MARK, node)) if marked else node

    def _mention(self, index: int) -> Mention:
        """The mention at a place, which is an element."""
        return cast(Mention, self.parts[index])

    def _end(self, ending: str) -> int:
        if self.following is None:
            return self.automaton.add(End(self.kind.name, self.plot.name, ending))
        return self.automaton.add(Write(self.kind.between, frozenset(), True, self.following))

    def story(self, index: int, known: Known) -> int:
        """The node where the story begins."""

        def then(telling: Telling) -> int:
            return self._from(index + 1, known._replace(telling=telling))

        story = self._teller(then, known.ending)
        node = story.start() if known.path is None else story.chain(known.path, then(known.path.telling))
        return self.automaton.add(Mark(STORY_MARK, node)) if index else node

    def facts(self, index: int, known: Known) -> int:
        """The node where its facts begin."""
        if known.telling:
            return self._recall(self._from(index + 1, known), self._facts)
        options = []
        for path in self._teller(None, None).paths():
            fits = 1.0 if known.ending is None else dict(path.telling.outlook).get(known.ending, 0.0)
            if path.facts and fits:
                after = self._from(index + 1, known._replace(path=path))
                options.append((path.chance * fits, self._facts(path.facts, after)))
        return self.automaton.branch(options)

    def questions(self, index: int, known: Known) -> int:
        """The node where questions about it begin."""
        return self._recall(self._from(index + 1, known), self._questions)

    def _recall(self, after: int, compile_facts: Callable[[tuple[Fact, ...], int], int]) -> int:
        """A node that leads to what `compile_facts` makes of the facts told, and from there to `after`."""

        def go_on(numbers: tuple[int, ...]) -> int:
            return compile_facts(tuple(self.automaton.facts[number] for number in numbers), after)

        if after not in self._recalls:
            self._recalls[after] = self.automaton.add(Recall(go_on, after))
        return self._recalls[after]

    def _questions(self, facts: tuple[Fact, ...], after: int) -> int:
        [(index, part)] = [
            (i, p) for i, p in enumerate(self.parts) if isinstance(p, Mention) and p.slot == QUESTIONS
        ]
        asker = Asker(self.speech, self.kind, self.notation, facts, after, target=index == self.target)
        node = asker.start(part.spaced)
        return after if node is None else node

    def ending(self, index: int, known: Known) -> int:
        """The node where the word for its ending is written."""
        if known.telling:
            after = self._from(index + 1, known)
            return self.automaton.branch([(p, self._word(index, e, after)) for e, p in known.telling.outlook])
        outlook = self._teller(None, None).outlooks.scene(self.plot.start)
        options = [
            (p, self._word(index, e, self._from(index + 1, known._replace(ending=e))))
            for e, p in outlook.items()
        ]
        return self.automaton.branch(options)

    def nouns(self, index: int, known: Known) -> int:
        """The node where two of its nouns are written."""
        bound = always_bound(self.automaton.grammar, self.plot)
        nouns = [parts for slot, parts in self.automaton.grammar.nouns.items() if slot in bound]
        after, spaced = self._from(index + 1, known), self._mention(index).spaced
        options = []
        for chosen in combinations(nouns, min(2, len(nouns))):
            parts = [
                filled(
                    self.notation.later if i else dressed(self.notation.each, spaced, False), {"noun": noun}
                )
                for i, noun in enumerate(chosen)
            ]
            options.append(
                (1.0, self.writer.parts(tuple(p for each in parts for p in each), after, counted=False))
            )
        return self.automaton.branch(options)

    def keyword(self, index: int, known: Known) -> int:
        """The node where one of its keywords is written."""
        after = self._from(index + 1, known)
        options = []
        for word in self.automaton.grammar.keywords:
            copy = Conditioned(self.automaton, word)
            if (chance := copy.chance(after)) > 0:
                options.append((chance, self._word(index, word, copy.node(after))))
        self.mass = sum(chance for chance, _ in options)
        return self.automaton.branch(options) if options else after

    def _teller(self, then: Callable[[Telling], int] | None, towards: str | None) -> Teller:
        return Teller(
            self.writer,
            Lengths(self.kind.lengths),
            then,
            remember=self.remembers,
            towards=towards,
            spaced_start=self._mention(self.place).spaced,
        )

    def _facts(self, facts: tuple[Fact, ...], node: int) -> int:
        spaced = next(p.spaced for p in self.parts if isinstance(p, Mention) and p.slot == FACTS)
        for i, fact in reversed(list(enumerate(facts))):
            pattern = self.notation.later if i else dressed(self.notation.each, spaced, False)
            node = self.writer.parts(filled(pattern, self.speech.values(fact)), node, counted=False)
        return node

    def _word(self, index: int, word: str, node: int) -> int:
        part = self._mention(index)
        return self.writer.parts(dressed((Text(word),), part.spaced, part.capital), node, counted=False)


_COMPILE = {
    STORY: Example.story,
    FACTS: Example.facts,
    QUESTIONS: Example.questions,
    ENDING: Example.ending,
    NOUNS: Example.nouns,
    KEYWORD: Example.keyword,
}
