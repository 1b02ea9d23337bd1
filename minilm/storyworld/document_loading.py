"""From the sections `documents`, `relations`, `called` and `nouns` of a grammar file to data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from minilm.storyworld.documents import ELEMENTS, STORY, WHOLE, Kind, Notation, Parts, Relation, plain_kinds
from minilm.storyworld.grammar import Fork, Mention, Plot, Slot
from minilm.storyworld.markup import MarkupError, parse_piece
from minilm.storyworld.yaml_nodes import Entry

_FACT = ("subject", "relation", "object", "named", "says")
_EACH = {"facts": _FACT, "questions": ("question", "answer"), "nouns": ("noun",)}
_BAR = "\N{BROKEN BAR}"
"""Stands for `|` while a pattern is parsed: outside brackets it is only a sign."""
_KIND_KEYS = ("weight", "group", "lengths", "turns", "examples", "between", "notations")


def load_kinds(entry: Entry | None, slots: Mapping[str, Slot], plots: Mapping[str, Plot]) -> dict[str, Kind]:
    """The kinds of document; stories alone where the file has none.

    Raises:
        GrammarError: an unknown element, group or key, or a notation without a story; with its line.
    """
    if entry is None:
        return plain_kinds()
    kinds = {
        name.text(): _kind(name, body, slots, {p.group for p in plots.values()})
        for name, body in entry.pairs()
    }
    if not any(kind.weight > 0 for kind in kinds.values()):
        raise entry.error("the weights here sum to zero: nothing could be chosen")
    return kinds


def _kind(name: Entry, body: Entry, slots: Mapping[str, Slot], groups: set[str]) -> Kind:
    fields = body.fields(*_KIND_KEYS)
    body.require("notations")
    group = fields["group"].text() if "group" in fields else STORY
    if group not in groups:
        raise fields.get("group", body).error(
            f"no plot is of the group {group!r}; known: {', '.join(sorted(groups))}"
        )
    notations = {key.text(): _notation(key, n, slots) for key, n in fields["notations"].pairs()}
    if not any(notation.weight > 0 for notation in notations.values()):
        raise fields["notations"].error(
            "all notations here are held out or weigh nothing: none could be chosen"
        )
    between = _raw(fields["between"]) if "between" in fields else "\n"
    return Kind(
        name.text(),
        fields["weight"].weight() if "weight" in fields else 1.0,
        notations,
        group,
        lengths=_counts(fields.get("lengths"), "whole"),
        turns=_counts(fields.get("turns")),
        examples=_counts(fields.get("examples")),
        between=between,
        line=name.line,
    )


def _counts(entry: Entry | None, last: str | None = None) -> dict[int, float] | None:
    """Numbers with weights: {1: 2, 3: 1}; the word `last` is read as `WHOLE`."""
    if entry is None:
        return None
    counts = {}
    for key, weight in entry.pairs():
        text = key.text()
        if text != last and not (text.isdecimal() and int(text) > 0):
            raise key.error(
                f"a number of 1 or more{f' or {last!r}' if last else ''} is expected here, not {text!r}"
            )
        counts[WHOLE if text == last else int(text)] = weight.weight()
    total = sum(counts.values())
    if not total > 0:
        raise entry.error("the weights here sum to zero: nothing could be chosen")
    return {count: weight / total for count, weight in counts.items() if weight}


def _notation(name: Entry, body: Entry, slots: Mapping[str, Slot]) -> Notation:
    fields = (
        body.fields("text", "each", "between", "weight", "held_out") if body.is_mapping() else {"text": body}
    )
    if "text" not in fields:
        raise body.error("'text:' is missing here")
    parts = _pattern(fields["text"], fields["text"].text(), (*ELEMENTS, *slots))
    named = [part.slot for part in parts if isinstance(part, Mention) and part.slot in ELEMENTS]
    if named.count(STORY) != 1 or len(set(named)) != len(named):
        raise fields["text"].error("a notation has {story} once, and every other element at most once")
    if "questions" in named and named.index("questions") < named.index(STORY):
        raise fields["text"].error("{questions} can only follow the {story} that they are about")
    names = [element for element in named if element in _EACH]
    if len(names) > 1 or (names and "each" not in fields):
        raise body.error(f"'each:' must say how one of the {' or '.join(names) or 'facts'} is written")
    held_out = "held_out" in fields and fields["held_out"].text() == "true"
    weight = fields["weight"].weight() if "weight" in fields else 1.0
    each, later = _each(fields, _EACH[names[0]], slots) if names else ((), ())
    return Notation(parts, each, later, 0.0 if held_out else weight, held_out, name.line)


def _each(
    fields: Mapping[str, Entry], known: Iterable[str], slots: Mapping[str, Slot]
) -> tuple[Parts, Parts]:
    text = fields["each"].text()
    between = _raw(fields["between"]) if "between" in fields else " "
    each = _pattern(fields["each"], text, (*known, *slots))
    if "answer" in known and [p.slot for p in each if isinstance(p, Mention)].count("answer") != 1:
        raise fields["each"].error("one {answer} is expected here")
    return each, _pattern(fields["each"], between + text, (*known, *slots))


def _raw(entry: Entry) -> str:
    """A scalar that may be, or have at its ends, a space or a line break."""
    text = entry.text()
    if any(char in text for char in "{}[]"):
        raise entry.error(f"the text between must be plain, not {text!r}")
    return text


def _pattern(entry: Entry, text: str, known: Iterable[str]) -> Parts:
    """The parts of a pattern, whose mentions are all `known`."""
    known = set(known)
    try:
        parts = parse_piece(text.replace("|", _BAR))
    except MarkupError as error:
        raise entry.error(str(error)) from None
    for part in parts:
        if isinstance(part, Mention) and part.slot not in known:
            raise entry.error(f"unknown element {part.slot!r}; known: {', '.join(sorted(known))}")
    return tuple(
        part if isinstance(part, Mention | Fork) else part._replace(text=part.text.replace(_BAR, "|"))
        for part in parts
    )


def load_relations(entry: Entry | None, slots: Mapping[str, Slot]) -> dict[str, Relation]:
    """How each relation is said and asked for."""
    return {name.text(): _relation(body, slots) for name, body in (entry.pairs() if entry else ())}


def _relation(body: Entry, slots: Mapping[str, Slot]) -> Relation:
    fields = body.fields("says", "ask", "whether", "who", "latest")
    found = {
        key: _pattern(fields[key], fields[key].text(), ("subject", "object", *slots))
        if key in fields
        else None
        for key in ("says", "ask", "whether")
    }
    who = "who" not in fields or fields["who"].text() != "false"
    return Relation(**found, who=who, latest="latest" in fields and fields["latest"].text() == "true")


def load_phrases(entry: Entry | None, slots: Mapping[str, Slot]) -> dict[str, Parts]:
    """Slots, or words, with the phrase for each: `relative: "{hero}'s {relative}"`."""
    return {
        name.text(): _pattern(body, body.text(), slots) for name, body in (entry.pairs() if entry else ())
    }
