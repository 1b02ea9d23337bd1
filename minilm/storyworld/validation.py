"""Proof that a grammar is valid: its graphs end, its slots are bound, its words do not run together.

Every complaint is a `GrammarError` with the line of the template, scene, plot or slot at fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from minilm.storyworld.grammar import (
    ARTICLE,
    HERO,
    Fact,
    Fork,
    Grammar,
    GrammarError,
    Mention,
    Part,
    Plot,
    Scene,
    Template,
    Text,
)
from minilm.storyworld.surface import SurfaceError, check_surface
from minilm.storyworld.units import units


def validate(grammar: Grammar) -> None:
    """Raise a `GrammarError` for the first fault found; return when there is none."""
    if HERO not in grammar.slots or grammar.slots[HERO].free:
        raise GrammarError(grammar.source, 1, f"there must be a slot named {HERO!r} under 'slots:'")
    for plot in grammar.plots.values():
        _check_graph(grammar, plot)
        for scene in plot.scenes.values():
            for template in scene.templates:
                _check_template(grammar, plot, template)
        _check_binding(grammar, plot)
    _check_keywords(grammar)
    _check_all_mentioned(grammar)


def successors(scene: Scene, template: Template) -> Mapping[str, float]:
    """The scenes that may follow when `scene` is told by `template`; empty at the end of the story."""
    return template.next or scene.next


def _check_graph(grammar: Grammar, plot: Plot) -> None:
    """Every scene can be reached, none comes back to itself, and each walk ends where an ending is named."""
    links = {
        name: [n for t in scene.templates for n in successors(scene, t)]
        for name, scene in plot.scenes.items()
    }
    reached, frontier = {plot.start}, [plot.start]
    while frontier:
        for name in links[frontier.pop()]:
            if name not in reached:
                reached.add(name)
                frontier.append(name)
    for scene in plot.scenes.values():
        if scene.name not in reached:
            raise _fault(grammar, scene, f"scene {scene.name!r} cannot be reached from {plot.start!r}")
        _check_ending(grammar, scene)
    _scene_order(grammar, plot)


def _check_ending(grammar: Grammar, scene: Scene) -> None:
    goes_on = [bool(successors(scene, template)) for template in scene.templates]
    if scene.ending and any(goes_on):
        raise _fault(
            grammar, scene, f"scene {scene.name!r} has an ending and a 'next:': it can have only one"
        )
    if not scene.ending and not all(goes_on):
        raise _fault(grammar, scene, f"scene {scene.name!r} needs an 'ending:' (happy, sad) or a 'next:'")


def _scene_order(grammar: Grammar, plot: Plot) -> list[Scene]:
    """The plot's scenes, each after all that lead to it."""
    sorter = TopologicalSorter({name: () for name in plot.scenes})
    for scene in plot.scenes.values():
        for template in scene.templates:
            for name in successors(scene, template):
                sorter.add(name, scene.name)
    try:
        return [plot.scenes[name] for name in sorter.static_order()]
    except CycleError as error:
        cycle = error.args[1]
        message = f"the story could go round for ever: {' -> '.join(cycle)}"
        last = max((plot.scenes[name] for name in cycle), key=lambda scene: scene.line)
        raise _fault(grammar, last, message) from None


def _check_template(grammar: Grammar, plot: Plot, template: Template) -> None:
    """Its mentions are of slots and forms that exist, and its words are cut as they are written."""
    told = [template.parts, *(side for fact in template.facts for side in fact)]
    for mention in (m for parts in told for m in mentions(parts)):
        _check_mention(grammar, plot, template, mention)
    try:
        check_surface(template.parts, lambda mention: _spoken(grammar, plot, mention), lines=plot.lines)
    except SurfaceError as error:
        raise _fault(grammar, template, str(error)) from None


def _check_mention(grammar: Grammar, plot: Plot, template: Template, mention: Mention) -> None:
    slot = grammar.slots.get(mention.slot)
    if slot is None:
        raise _fault(grammar, template, f"unknown slot {mention.slot!r}; known: {', '.join(grammar.slots)}")
    if slot.free and refers(mention):
        raise _fault(grammar, template, f"{slot.name!r} is a free word: it has no form {mention.form!r}")
    for filler in grammar.pool(plot, slot.name):
        if refers(mention) and mention.form not in filler.forms:
            known = ", ".join(filler.forms) or "none"
            message = f"{filler.text!r} (line {filler.line}) lacks the form {mention.form!r} of {slot.name!r}"
            raise _fault(grammar, template, f"{message}; its forms: {known}")


def refers(mention: Mention) -> bool:
    """Whether it writes a named form rather than the filler's text with or without article."""
    return mention.form not in ("", ARTICLE)


def _spoken(grammar: Grammar, plot: Plot, mention: Mention) -> set[str]:
    """All that a mention may write in this plot."""
    return {mention.say(filler) for filler in grammar.pool(plot, mention.slot)}


def always_bound(grammar: Grammar, plot: Plot) -> frozenset[str]:
    """The slots that every whole story of a plot mentions."""
    ends = []
    before: dict[str, frozenset[str]] = {plot.start: frozenset()}
    for scene in _scene_order(grammar, plot):
        for template in scene.templates:
            bound = _bound_after(grammar, template, template.parts, before[scene.name])
            for name in successors(scene, template):
                before[name] = before.get(name, bound) & bound
            if scene.ending:
                ends.append(bound)
    return frozenset.intersection(*ends)


def _check_binding(grammar: Grammar, plot: Plot) -> None:
    """Forms that refer back, and facts, come after their slot has been bound on every path; endings have a hero."""
    bound_before: dict[str, frozenset[str]] = {plot.start: frozenset()}
    for scene in _scene_order(grammar, plot):
        for template in scene.templates:
            bound = _bound_after(grammar, template, template.parts, bound_before[scene.name])
            for fact in template.facts:
                _check_fact(grammar, template, fact, bound)
            if scene.ending and HERO not in bound:
                raise _fault(grammar, template, f"a story can end here without a mention of {{{HERO}}}")
            for name in successors(scene, template):
                bound_before[name] = bound_before.get(name, bound) & bound


def _bound_after(
    grammar: Grammar, template: Template, parts: tuple[Part, ...], bound: frozenset[str]
) -> frozenset[str]:
    """The slots bound on every path through `parts`, given those bound before."""
    for part in parts:
        if isinstance(part, Fork):
            bound = frozenset.intersection(*(_bound_after(grammar, template, o, bound) for o in part.options))
        elif isinstance(part, Mention) and not grammar.slots[part.slot].free:
            if part.form in grammar.agreement_forms and part.slot not in bound:
                message = (
                    f"{{{part.slot}.{part.form}}} is used where a path has not yet mentioned {{{part.slot}}}"
                )
                raise _fault(grammar, template, message)
            bound |= {part.slot}
    return bound


def _check_fact(grammar: Grammar, template: Template, fact: Fact, bound: frozenset[str]) -> None:
    for mention in (m for side in fact for m in mentions(side)):
        if mention.slot not in bound:
            message = f"a fact names {{{mention.slot}}}, which a path to the template's end does not bind"
            raise _fault(grammar, template, message)


def _check_keywords(grammar: Grammar) -> None:
    """Keywords occur in templates, each at least once, and never in a filler: so h depends on the node alone."""
    for slot in grammar.slots.values():
        for filler in slot.fillers:
            for text in (filler.text, *filler.forms.values()):
                for word in keywords_in(text, grammar.keywords):
                    message = (
                        f"keyword {word!r} occurs in a filler of {slot.name!r}: write it in templates only"
                    )
                    raise GrammarError(grammar.source, filler.line, message)
    used = {
        w for t in _templates(grammar) for text in texts(t.parts) for w in keywords_in(text, grammar.keywords)
    }
    for word, line in grammar.keywords.items():
        if word not in used:
            raise GrammarError(grammar.source, line, f"keyword {word!r} occurs in no template")


def keywords_in(text: str, keywords: Mapping[str, int]) -> set[str]:
    """The keywords among the words of a text, small or large."""
    return {word for unit in units(text) if (word := unit.strip().casefold()) in keywords}


def _check_all_mentioned(grammar: Grammar) -> None:
    used = {mention.slot for template in _templates(grammar) for mention in mentions(template.parts)}
    for slot in grammar.slots.values():
        if slot.name not in used:
            raise GrammarError(
                grammar.source, slot.line, f"slot {slot.name!r} is never bound: no template mentions it"
            )


def _templates(grammar: Grammar) -> Iterator[Template]:
    return (t for plot in grammar.plots.values() for scene in plot.scenes.values() for t in scene.templates)


def _leaves(parts: tuple[Part, ...]) -> Iterator[Text | Mention]:
    for part in parts:
        if isinstance(part, Fork):
            for option in part.options:
                yield from _leaves(option)
        else:
            yield part


def mentions(parts: tuple[Part, ...]) -> Iterator[Mention]:
    """Every mention in a template, those in alternatives too."""
    return (leaf for leaf in _leaves(parts) if isinstance(leaf, Mention))


def texts(parts: tuple[Part, ...]) -> Iterator[str]:
    """Every stretch of literal text in a template."""
    return (leaf.text for leaf in _leaves(parts) if isinstance(leaf, Text))


def _fault(grammar: Grammar, at: Template | Scene, message: str) -> GrammarError:
    return GrammarError(grammar.source, at.line, message)
