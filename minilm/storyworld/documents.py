"""Kinds of document as data: what a document consists of, its notations, and how facts are said and asked for.

A notation is a text with elements in braces, `{facts}`, `{story}`, `{questions}`, ...: "Facts: {facts}\\n{story}" says that
facts come first, on a line of their own, then the story that tells them. What comes last is the document's *target*, all
before it the prompt.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from minilm.storyworld.parts import Mention, Part, Text

STORY, FACTS, QUESTIONS = "story", "facts", "questions"
KEYWORD, NOUNS, ENDING = "keyword", "nouns", "ending"
ELEMENTS = (STORY, FACTS, QUESTIONS, KEYWORD, NOUNS, ENDING)
"""What a notation's text may hold besides plain words; `{hero}` is allowed too, since every story has one."""
OPEN = "open"
"""The ending of a document whose story is cut before its end."""
WHOLE = 0
"""The length of a complete story."""

Parts = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """How the facts of one relation are said and asked for; the patterns hold `{subject}` and `{object}`."""

    says: Parts | None
    """What follows the subject: "lost the {object}"."""
    ask: Parts | None
    """A question whose answer is the object: "What did {subject} lose?"; None: it is not asked for."""
    whether: Parts | None
    """What follows "Did Mia": "lose the {object}"; None where one object does not rule out another."""
    who: bool
    """Whether its subject is asked for: "Who lost the kite?"."""
    latest: bool
    """Whether a later fact of the same subject replaces an earlier one: who has the lamp *now*."""


@dataclass(frozen=True, slots=True)
class Notation:
    """One way to write a kind of document."""

    parts: Parts
    """The document: words, and elements as mentions."""
    each: Parts
    """One fact (`{subject}`, `{relation}`, `{object}`, `{named}`, `{says}`), question (`{question}`, `{answer}`) or noun."""
    later: Parts
    """The same for the second and all others: with what joins them before it."""
    weight: float
    """Chance among the notations of the kind."""
    held_out: bool
    """Whether it is kept out of pretraining, for tuning to learn."""
    line: int


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of document."""

    name: str
    weight: float
    """Its share of the documents."""
    notations: Mapping[str, Notation]
    group: str = STORY
    """The plots that it tells: those of this group."""
    plots: tuple[str, ...] = ()
    """Only these of the group; empty: all."""
    lengths: Mapping[int, float] | None = None
    """Passages of a story -> chance; `WHOLE` for all of them. None: always whole."""
    turns: Mapping[int, float] | None = None
    """Questions in a document -> chance; fewer where the story has less to ask. None: one."""
    examples: Mapping[int, float] | None = None
    """Stories, each with its facts or questions, in one document -> chance. None: one."""
    between: str = "\n"
    """What parts the examples."""
    line: int = 1

    def has(self, element: str) -> bool:
        """Whether any of its notations has the element."""
        return any(element in elements(notation) for notation in self.notations.values())


def elements(notation: Notation) -> tuple[str, ...]:
    """The names of a notation's elements, in their order."""
    return tuple(p.slot for p in notation.parts if isinstance(p, Mention) and p.slot in ELEMENTS)


def plain_kinds() -> dict[str, Kind]:
    """What a grammar without `documents:` writes: stories."""
    return {
        STORY: Kind(
            STORY, 1.0, {"plain": Notation((Mention(STORY, "", False, False),), (), (), 1.0, False, 1)}
        )
    }


def filled(pattern: Parts, values: Mapping[str, Parts]) -> Parts:
    """A pattern with its mentions of `values` replaced; the space and the capital that a mention has pass on."""
    found: list[Part] = []
    for part in pattern:
        if isinstance(part, Mention) and part.slot in values:
            found += dressed(values[part.slot], part.spaced, part.capital)
        else:
            found.append(part)
    return joined(found)


def joined(parts: Iterable[Part]) -> Parts:
    """Parts with neighbouring texts made one, so that marks that meet, as in `?"`, are read as the one unit that they are."""
    found: list[Part] = []
    for part in parts:
        if found and isinstance(part, Text) and isinstance(found[-1], Text):
            found[-1] = Text(found[-1].text + part.text)
        else:
            found.append(part)
    return tuple(found)


def dressed(parts: Parts, spaced: bool, capital: bool) -> Parts:
    """Parts whose first one gains a space before it, a capital, or both."""
    if not parts:
        return parts
    first, *rest = parts
    if isinstance(first, Text):
        text = first.text[0].upper() + first.text[1:] if capital else first.text
        return (Text(" " * spaced + text), *rest)
    mention = cast(Mention, first)  # neither facts nor notations have alternatives
    return (mention._replace(spaced=spaced, capital=mention.capital or capital), *rest)
