"""All kinds of document, in all their notations, as nodes of one automaton."""

from __future__ import annotations

from minilm.storyworld.automaton import Automaton
from minilm.storyworld.document_checks import plots_of
from minilm.storyworld.documents import STORY, Kind, Notation
from minilm.storyworld.example import Example
from minilm.storyworld.grammar import Grammar, Mention, Plot
from minilm.storyworld.telling import Lengths, Teller, Telling, writer_of


def compile_documents(grammar: Grammar) -> Automaton:
    """The automaton of a grammar's documents."""
    automaton = Automaton(grammar)
    kinds = [(kind.weight, _start(automaton, kind)) for kind in grammar.kinds.values() if kind.weight]
    automaton.root = automaton.branch(kinds)
    return automaton


def _start(automaton: Automaton, kind: Kind) -> int:
    """The node where a document of a kind begins.

    Where notations begin with the story, notation and number of examples are chosen after it, so that a reader of the story
    has one document to think of.
    """
    counts = kind.examples or {1: 1.0}
    options: list[tuple[float, int]] = []
    late: list[tuple[float, Notation, int | None]] = []
    for notation in (n for n in kind.notations.values() if n.weight):
        first = notation.parts[0]
        starts: list[int] = []  # where the last 1, 2, ... examples begin
        is_late = isinstance(first, Mention) and first.slot == STORY
        for _ in range(max(counts) - is_late):
            starts.append(_example(automaton, kind, notation, starts[-1] if starts else None))
        for count, chance in counts.items():
            if is_late:
                late.append((notation.weight * chance, notation, starts[count - 2] if count > 1 else None))
            else:
                options.append((notation.weight * chance, starts[count - 1]))
    if late:
        told = [
            (plot.weight, _told_first(automaton, kind, plot, late))
            for plot in plots_of(automaton.grammar, kind)
        ]
        options.append((sum(weight for weight, _, _ in late), automaton.branch(told)))
    return automaton.branch(options)


def _example(automaton: Automaton, kind: Kind, notation: Notation, following: int | None) -> int:
    """The node where an example begins, after which comes the next one, or, after None, the end."""
    options = []
    for plot in plots_of(automaton.grammar, kind):
        example = Example(automaton, kind, notation, plot, following)
        node = example.start()
        options.append((plot.weight * example.mass, node))
    return automaton.branch(options)


def _told_first(
    automaton: Automaton, kind: Kind, plot: Plot, late: list[tuple[float, Notation, int | None]]
) -> int:
    """The node where a story begins whose notation is chosen after it."""
    examples = [
        (weight, Example(automaton, kind, notation, plot, following)) for weight, notation, following in late
    ]

    def then(telling: Telling) -> int:
        return automaton.branch([(weight, example.after(telling)) for weight, example in examples])

    remember = any(example.remembers for _, example in examples)
    return Teller(writer_of(automaton, plot), Lengths(kind.lengths), then, remember=remember).start()
