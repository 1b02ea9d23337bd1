"""From the grammar file to a `Grammar`: names, weights and templates, each mistake reported with its line."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from minilm.storyworld.document_checks import check_documents
from minilm.storyworld.document_loading import load_kinds, load_phrases, load_relations
from minilm.storyworld.documents import STORY
from minilm.storyworld.grammar import (
    Fact,
    Filler,
    Grammar,
    Part,
    Plot,
    Scene,
    Slot,
    Template,
    Weights,
    shares,
)
from minilm.storyworld.markup import MarkupError, parse
from minilm.storyworld.validation import validate
from minilm.storyworld.yaml_nodes import Entry, read

_SECTIONS = (
    "keywords",
    "agreement",
    "slots",
    "words",
    "shared",
    "plots",
    "relations",
    "called",
    "nouns",
    "documents",
)
_FILLER_KEYS = ("text", "weight", "agreement", "article", "tags")
_Agreement = Mapping[str, Mapping[str, str]]


def load_grammar(text: str, source: str = "grammar") -> Grammar:
    """The grammar that a YAML text describes, proven sound.

    Raises:
        GrammarError: anything that makes a story impossible, with `source` and the line.
    """
    root = read(text, source)
    sections = root.fields(*_SECTIONS)
    root.require("keywords", "slots", "plots")
    agreement = _agreement(sections["agreement"]) if "agreement" in sections else {}
    slots = _slots(sections["slots"], free=False, agreement=agreement)
    if "words" in sections:
        words = _slots(sections["words"], free=True, agreement=agreement)
        _refuse_shared_names(sections["words"], slots)
        slots |= words
    shared = _shared(sections["shared"]) if "shared" in sections else {}
    plots = {name.text(): _plot(name, body, slots, shared) for name, body in sections["plots"].pairs()}
    _check_sum(sections["plots"], [plot.weight for plot in plots.values()])
    forms = frozenset(form for words in agreement.values() for form in words)
    grammar = Grammar(
        source,
        _keywords(sections["keywords"]),
        forms,
        slots,
        plots,
        load_kinds(sections.get("documents"), slots, plots),
        load_relations(sections.get("relations"), slots),
        load_phrases(sections.get("nouns"), slots),
        load_phrases(sections.get("called"), slots),
    )
    validate(grammar)
    check_documents(grammar)
    return grammar


def _keywords(entry: Entry) -> dict[str, int]:
    keywords: dict[str, int] = {}
    for item in entry.items():
        word = item.text()
        if not word.isalpha() or word != word.casefold():
            raise item.error(f"a keyword is one lower-case word, not {word!r}")
        if word in keywords:
            raise item.error(f"keyword {word!r} occurs here twice")
        keywords[word] = item.line
    return keywords


def _agreement(entry: Entry) -> _Agreement:
    return {
        name.text(): {form.name(): _filler_text(text) for form, text in forms.pairs()}
        for name, forms in entry.pairs()
    }


def _slots(entry: Entry, free: bool, agreement: _Agreement) -> dict[str, Slot]:
    return {name.name(): _slot(name, body, free, agreement) for name, body in entry.pairs()}


def _slot(name: Entry, body: Entry, free: bool, agreement: _Agreement) -> Slot:
    default = None
    if body.is_mapping():
        fields = body.fields("agreement", "fillers")
        body.require("fillers")
        default, body = fields.get("agreement"), fields["fillers"]
    fillers = tuple(_filler(item, default, agreement) for item in body.items())
    seen = set()
    for item, filler in zip(body.items(), fillers, strict=True):
        if filler.text in seen:
            raise item.error(f"{filler.text!r} fills {name.text()!r} twice")
        seen.add(filler.text)
    _check_sum(name, [filler.weight for filler in fillers])
    return Slot(name.text(), fillers, free, name.line)


def _filler(entry: Entry, default: Entry | None, agreement: _Agreement) -> Filler:
    fields = entry.fields() if entry.is_mapping() else {"text": entry}
    if "text" not in fields:
        raise entry.error("'text:' is missing here")
    text = _filler_text(fields["text"])
    agrees = fields.get("agreement", default)
    if agrees and agrees.text() not in agreement:
        raise agrees.error(
            f"unknown agreement class {agrees.text()!r}; known: {', '.join(agreement) or 'none'}"
        )
    forms = dict(agreement[agrees.text()]) if agrees else {}
    forms |= {key: _filler_text(value) for key, value in fields.items() if key not in _FILLER_KEYS}
    article = fields["article"].text() if "article" in fields else "an" if text[0] in "aeiouAEIOU" else "a"
    tags = frozenset(tag.text() for tag in fields["tags"].items()) if "tags" in fields else frozenset()
    return Filler(text, article, _weight(fields), forms, tags, entry.line)


def _filler_text(entry: Entry) -> str:
    text = entry.text()
    if text != text.strip() or "  " in text or set(text) & set("[]{}|") or not text.isprintable():
        raise entry.error(f"plain words with single spaces, without brackets, expected here, not {text!r}")
    return text


def _refuse_shared_names(words: Entry, slots: Mapping[str, Slot]) -> None:
    for name, _ in words.pairs():
        if name.text() in slots:
            raise name.error(f"{name.text()!r} is a slot already (line {slots[name.text()].line})")


def _weight(fields: Mapping[str, Entry]) -> float:
    return fields["weight"].weight() if "weight" in fields else 1.0


def _check_sum(entry: Entry, weights: list[float]) -> None:
    if not 0 < sum(weights) < math.inf:
        total = "infinity" if sum(weights) else "zero"
        raise entry.error(f"the weights here sum to {total}: nothing could be chosen")


def _shared(entry: Entry) -> dict[str, Entry]:
    return {name.text(): templates for name, templates in entry.pairs()}


def _plot(name: Entry, body: Entry, slots: Mapping[str, Slot], shared: Mapping[str, Entry]) -> Plot:
    fields = body.fields("weight", "cast", "start", "scenes", "group", "lines")
    body.require("scenes")
    names = list(fields["scenes"].fields())
    scenes = {key.text(): _scene(key, scene, shared, names) for key, scene in fields["scenes"].pairs()}
    start = fields["start"].text() if "start" in fields else names[0]
    if start not in names:
        raise fields["start"].error(f"no scene {start!r} in plot {name.text()!r}")
    cast = _cast(fields.get("cast"), slots)
    group = fields["group"].text() if "group" in fields else STORY
    lines = "lines" in fields and fields["lines"].text() == "true"
    return Plot(name.text(), _weight(fields), start, scenes, cast, group, lines, name.line)


def _cast(entry: Entry | None, slots: Mapping[str, Slot]) -> dict[str, tuple[int, ...]]:
    """For every slot, the fillers with a weight that the plot admits: all, those tagged, or those listed."""
    cast = {
        name: tuple(i for i, filler in enumerate(slot.fillers) if filler.weight)
        for name, slot in slots.items()
    }
    for key, choice in entry.pairs() if entry else ():
        if key.text() not in slots:
            raise key.error(f"unknown slot {key.text()!r}; known: {', '.join(slots)}")
        fits = _chosen(choice, slots[key.text()])
        cast[key.text()] = tuple(i for i in cast[key.text()] if fits(slots[key.text()].fillers[i]))
        if not cast[key.text()]:
            raise choice.error(f"no filler of {key.text()!r} with a positive weight is chosen here")
    return cast


def _chosen(choice: Entry, slot: Slot) -> Callable[[Filler], bool]:
    if not choice.is_list():
        tag = choice.text()
        if all(tag not in filler.tags for filler in slot.fillers):
            raise choice.error(f"no filler of {slot.name!r} is tagged {tag!r}")
        return lambda filler: tag in filler.tags
    texts = {filler.text for filler in slot.fillers}
    for item in choice.items():
        if item.text() not in texts:
            raise item.error(f"{item.text()!r} is not a filler of {slot.name!r}")
    listed = {item.text() for item in choice.items()}
    return lambda filler: filler.text in listed


def _scene(name: Entry, body: Entry, shared: Mapping[str, Entry], scenes: list[str]) -> Scene:
    fields = body.fields("templates", "next", "ending")
    body.require("templates")
    templates = tuple(t for item in fields["templates"].items() for t in _spliced(item, shared, scenes))
    _check_sum(fields["templates"], [template.weight for template in templates])
    ending = fields["ending"].text() if "ending" in fields else None
    return Scene(name.text(), templates, _next(fields.get("next"), scenes), ending, name.line)


def _spliced(entry: Entry, shared: Mapping[str, Entry], scenes: list[str]) -> list[Template]:
    """One template, or those of a shared list that the entry names with `use:`."""
    fields = entry.fields("use", "text", "weight", "facts", "next") if entry.is_mapping() else {"text": entry}
    if "use" not in fields:
        return [_template(entry, fields, scenes)]
    if len(fields) > 1:
        raise entry.error("'use:' takes a whole shared list and cannot be combined with another key")
    if fields["use"].text() not in shared:
        raise fields["use"].error(
            f"no shared list {fields['use'].text()!r}; known: {', '.join(shared) or 'none'}"
        )
    return [_template(item, _template_fields(item), scenes) for item in shared[fields["use"].text()].items()]


def _template_fields(entry: Entry) -> dict[str, Entry]:
    return entry.fields("text", "weight", "facts") if entry.is_mapping() else {"text": entry}


def _template(entry: Entry, fields: Mapping[str, Entry], scenes: list[str]) -> Template:
    if "text" not in fields:
        raise entry.error("'text:' is missing here")
    facts = tuple(_fact(item) for item in fields["facts"].items()) if "facts" in fields else ()
    return Template(
        _parts(fields["text"], fields["text"].text()),
        _weight(fields),
        facts,
        _next(fields.get("next"), scenes),
        entry.line,
    )


def _parts(entry: Entry, text: str) -> tuple[Part, ...]:
    try:
        return parse(text)
    except MarkupError as error:
        raise entry.error(str(error)) from None
    except RecursionError:
        raise entry.error("brackets are nested too deep here: write several templates instead") from None


def _fact(entry: Entry) -> Fact:
    sides = [side.strip() for side in entry.text().split("|")]
    if len(sides) != 3 or not all(sides) or "[" in entry.text():
        raise entry.error(f"a fact is 'subject | relation | object', not {entry.text()!r}")
    subject, relation, target = (_parts(entry, side) for side in sides)
    return subject, relation, target


def _next(entry: Entry | None, scenes: list[str]) -> Weights:
    """How a story continues: one scene, a list of equal chances, or weights by name."""
    if entry is None:
        return {}
    if entry.is_mapping():
        weights = {name: weight.weight() for name, weight in entry.pairs()}
    else:
        weights = {name: 1.0 for name in (entry.items() if entry.is_list() else [entry])}
    for name in weights:
        if name.text() not in scenes:
            raise name.error(f"no scene {name.text()!r} in this plot; its scenes: {', '.join(scenes)}")
    _check_sum(entry, list(weights.values()))
    return dict(zip((name.text() for name in weights), shares(weights.values()), strict=True))
