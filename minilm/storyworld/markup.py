"""The small language inside a template: `{hero}`, `{a object}`, `{Hero.he}`, `[one|two|]`.

    parse("{Hero} saw {a object}[, and ran|].") ->
    (Mention(hero), Text(" saw"), Mention(object, "a"), Fork((Text(", and ran"),), ()), Text("."))

A space before a mention or a bracket moves into what follows it, so that every part begins where a unit
begins.
"""

from __future__ import annotations

import regex

from minilm.storyworld.grammar import ARTICLE, Fork, Mention, Part, Text

_TOKEN = regex.compile(r"[\[\]|]|\{[^{}]*\}|[^\[\]|{}]+|[{}]")
_ODD_SPACE = regex.compile(r"\s\s")
_MENTION = regex.compile(r"(?:(?P<article>[aA]) )?(?P<slot>[A-Za-z_]\w*)(?:\.(?P<form>[A-Za-z_]\w*))?")


class MarkupError(ValueError):
    """A template's text that cannot be read; the message quotes the part at fault."""


def parse(text: str) -> tuple[Part, ...]:
    """The parts of a template's text, which may have several lines.

    Raises:
        MarkupError: brackets or braces that do not match, a mention that is not of the forms above, spaces
            that would double, or an alternative at the very beginning that may be empty.
    """
    if text != text.strip():
        raise MarkupError(f"single spaces only, none at either end, no line breaks there: {text!r}")
    parts = parse_piece(text)
    if not parts or _may_be_empty(parts[0]):
        raise MarkupError(f"the text begins with an alternative that may be empty: {text!r}")
    return parts


def parse_piece(text: str) -> tuple[Part, ...]:
    """The parts of a text inside another text: it may begin with a space or a line break.

    Raises:
        MarkupError: as for `parse`.
    """
    if _ODD_SPACE.search(text) or not text.replace("\n", "").isprintable():
        raise MarkupError(f"single spaces and single line breaks only, never side by side: {text!r}")
    parts, rest = _sequence(_TOKEN.findall(text), inside=False)
    if rest:
        raise MarkupError(f"a {rest[0]!r} without its '[' in {text!r}")
    return parts


def _sequence(tokens: list[str], inside: bool) -> tuple[tuple[Part, ...], list[str]]:
    """Parts up to the end, or up to the '|' or ']' that closes an alternative; and the tokens left over."""
    parts: list[Part] = []
    pending_space = False
    while tokens and tokens[0] not in ("|", "]"):
        part, tokens = _part(tokens)
        if pending_space:
            part = spaced(part)
        pending_space = False
        if isinstance(part, Text) and part.text.endswith(" "):
            part, pending_space = Text(part.text[:-1]), True
        if part != Text(""):
            parts.append(part)
    if pending_space:
        raise MarkupError("an alternative ends with a space: put the space before the bracket")
    if inside and not tokens:
        raise MarkupError("a '[' without its ']'")
    return tuple(parts), tokens


def _part(tokens: list[str]) -> tuple[Part, list[str]]:
    head, rest = tokens[0], tokens[1:]
    if head == "[":
        return _fork(rest)
    if head.startswith("{"):
        return _mention(head), rest
    if head == "}":
        raise MarkupError("a '}' without its '{'")
    return Text(head), rest


def _fork(tokens: list[str]) -> tuple[Fork, list[str]]:
    options = []
    while True:
        option, tokens = _sequence(tokens, inside=True)
        options.append(option)
        closing, tokens = tokens[0], tokens[1:]
        if closing == "]":
            break
    if len(options) < 2:
        raise MarkupError("a bracket needs two alternatives: [one|two], or [one|] when it may be left out")
    return Fork(tuple(options)), tokens


def _mention(braces: str) -> Mention:
    match = _MENTION.fullmatch(braces[1:-1])
    if match is None or (match["article"] and match["form"]):
        raise MarkupError(f"{braces!r} is not one of {{slot}}, {{a slot}}, {{slot.form}}")
    capital = braces[1].isupper()
    slot = match["slot"] if match["article"] else match["slot"][0].lower() + match["slot"][1:]
    return Mention(slot, ARTICLE if match["article"] else match["form"] or "", capital, spaced=False)


def spaced(part: Part) -> Part:
    """The same part with a space before it; an alternative that is empty stays empty."""
    if isinstance(part, Text):
        if part.text.startswith(" "):
            raise MarkupError(f"two spaces meet before {part.text.strip()!r}")
        return Text(" " + part.text)
    if isinstance(part, Mention):
        return part._replace(spaced=True)
    return Fork(tuple((spaced(option[0]), *option[1:]) if option else () for option in part.options))


def _may_be_empty(part: Part) -> bool:
    """Whether some way through a part writes nothing, or begins with something that may be nothing."""
    return isinstance(part, Fork) and any(not option or _may_be_empty(option[0]) for option in part.options)
