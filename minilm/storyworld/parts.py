"""What a template is made of: literal text, mentions of slots with their fillers, and forks between them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

ARTICLE = "a"
"""The form of a mention that puts the filler's article before its text: `{a object}`."""


@dataclass(frozen=True, slots=True)
class Filler:
    """One thing that a slot may be filled with."""

    text: str
    """What a bare mention writes, for instance "red kite"."""
    article: str
    """What `{a object}` writes before it: "a", "an", "some"..."""
    weight: float
    """Chance relative to the other fillers of the slot."""
    forms: Mapping[str, str]
    """Its other forms by name: those of its agreement class (pronouns), then its own."""
    tags: frozenset[str]
    """Names by which a plot's cast may choose it."""
    line: int


class Text(NamedTuple):
    """Literal words of a template; the space before them is part of them."""

    text: str


class Mention(NamedTuple):
    """A place in a template where a slot's filler is written."""

    slot: str
    form: str
    """"" for the filler's text, `ARTICLE` for article and text, or the name of one of its forms."""
    capital: bool
    """Whether its first letter is written large."""
    spaced: bool
    """Whether a space comes before it."""

    def say(self, filler: Filler) -> str:
        """The characters written here when `filler` fills the slot; KeyError if it lacks the form."""
        text = filler.forms[self.form] if self.form not in ("", ARTICLE) else filler.text
        if self.form == ARTICLE:
            text = f"{filler.article} {text}"
        if self.capital:
            text = text[0].upper() + text[1:]
        return " " * self.spaced + text


class Fork(NamedTuple):
    """Inline alternatives, each as likely as the others: `[one|two|]`."""

    options: tuple[tuple[Part, ...], ...]


Part = Text | Mention | Fork


def literal(parts: Iterable[Part]) -> str:
    """The literal text of parts, without what its mentions say."""
    return "".join(part.text for part in parts if isinstance(part, Text))
