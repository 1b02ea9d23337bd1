"""Proof that every kind of document can be written: its elements have something to say, and its marks do not run together."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from minilm.storyworld.documents import (
    ELEMENTS,
    ENDING,
    FACTS,
    KEYWORD,
    NOUNS,
    QUESTIONS,
    STORY,
    Kind,
    Notation,
    Parts,
    dressed,
    elements,
    filled,
    joined,
)
from minilm.storyworld.grammar import Grammar, GrammarError, Mention, Part, Plot, Template, Text
from minilm.storyworld.parts import literal
from minilm.storyworld.units import units
from minilm.storyworld.validation import always_bound, keywords_in, texts

_STORIES = ("Mia ran.", '"Run!" said Mia.', 'Mia said, "Run!"')
_VALUES = {
    "subject": "Mia",
    "relation": "saw",
    "object": "kite",
    "named": "Mia",
    "says": "saw the kite",
    "question": "Who ran?",
    "answer": "Mia",
    "noun": "kite",
}


def check_documents(grammar: Grammar) -> None:
    """Raise a `GrammarError` for the first fault found; return when there is none."""
    for kind in grammar.kinds.values():
        for notation in kind.notations.values():
            _check_seams(grammar, kind, notation)
            plots = plots_of(grammar, kind)
            if KEYWORD in elements(notation) and not any(_has_keyword(grammar, plot) for plot in plots):
                raise _fault(grammar, notation, f"kind {kind.name!r}: no story that it tells has a keyword")
            for plot in plots:
                _check_elements(grammar, kind, notation, plot)


def plots_of(grammar: Grammar, kind: Kind) -> list[Plot]:
    """The plots that a kind of document tells."""
    plots = [plot for plot in grammar.plots.values() if plot.group == kind.group and plot.weight]
    return [plot for plot in plots if not kind.plots or plot.name in kind.plots]


def _check_elements(grammar: Grammar, kind: Kind, notation: Notation, plot: Plot) -> None:
    """What a notation asks for is in every story of a plot."""
    named = elements(notation)
    if NOUNS in named and not always_bound(grammar, plot) & set(grammar.nouns):
        raise _fault(
            grammar, notation, f"kind {kind.name!r}: no noun is in every story of plot {plot.name!r}"
        )
    openings = plot.scenes[plot.start].templates
    if FACTS in named and not any(template.facts for template in openings):
        raise _fault(grammar, notation, f"kind {kind.name!r}: no opening of plot {plot.name!r} tells a fact")
    for template in openings:
        if QUESTIONS in named and not _can_be_asked(grammar, template):
            message = "can be asked about its facts"
        elif FACTS in named[named.index(STORY) :] and not template.facts:
            message = "is told as a fact by it"
        else:
            continue
        raise GrammarError(
            grammar.source, template.line, f"kind {kind.name!r} may stop here, but nothing {message}"
        )


def _has_keyword(grammar: Grammar, plot: Plot) -> bool:
    templates = (template for scene in plot.scenes.values() for template in scene.templates)
    return any(
        keywords_in(text, grammar.keywords) for template in templates for text in texts(template.parts)
    )


def _can_be_asked(grammar: Grammar, template: Template) -> bool:
    asked = {name.partition(" {")[0] for name, relation in grammar.relations.items() if relation.ask}
    return any(literal(fact[1]) in asked for fact in template.facts)


def _check_seams(grammar: Grammar, kind: Kind, notation: Notation) -> None:
    """Where words, elements and examples meet, each is read as it is written alone."""
    choices = [_samples(notation, part) for part in notation.parts]
    for pieces in product(*choices):
        several = [*pieces, kind.between, *pieces] if kind.examples else list(pieces)
        alone = [unit for piece in several for unit in units(piece)]
        if list(units("".join(several))) != alone:
            text = "".join(several)
            raise _fault(
                grammar, notation, f"marks run together in {text[:80]!r}: part them with a space or a line"
            )


def _samples(notation: Notation, part: Part) -> list[str]:
    """A few examples of what a part of a notation may say."""
    if not isinstance(part, Mention):
        return [literal([part])]
    if part.slot == STORY:
        texts = list(_STORIES)
    elif part.slot in (FACTS, QUESTIONS, NOUNS):
        texts = [_written(notation.each) + _written(notation.later)]
    else:
        texts = ["soon"] if part.slot in (KEYWORD, ENDING) or part.slot in ELEMENTS else ["Mia"]
    return [" " * part.spaced + text for text in texts]


def _written(pattern: Parts) -> str:
    values = {name: (Text(text),) for name, text in _VALUES.items()}
    return "".join(_texts(joined(filled(pattern, values))))


def _texts(parts: Parts) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Text):
            yield part.text
        elif isinstance(part, Mention):
            yield from _texts(dressed((Text("Mia"),), part.spaced, False))


def _fault(grammar: Grammar, notation: Notation, message: str) -> GrammarError:
    return GrammarError(grammar.source, notation.line, message)
