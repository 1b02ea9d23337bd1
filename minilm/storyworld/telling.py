"""A plot's scenes as nodes of an automaton: complete or cut, freely or towards an ending, with or without a memory.

What follows a story is made by a function `then`, because a story is compiled from its end to its start. Where it depends
on what was told, as questions do, the story's templates `remember` their facts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, cast

from minilm.storyworld.automaton import FREE, Automaton, Say, Told, Write
from minilm.storyworld.documents import OPEN, WHOLE
from minilm.storyworld.grammar import Fact, Fork, Mention, Part, Plot, Scene, Template, Text, shares
from minilm.storyworld.markup import spaced
from minilm.storyworld.validation import keywords_in, successors


class Telling(NamedTuple):
    """What is known of a story when it stops."""

    ending: str
    """Its ending, or `OPEN` where it is cut."""
    outlook: tuple[tuple[str, float], ...]
    """Each ending with the chance that the whole story would have had it."""


Then = Callable[[Telling], int]
"""Makes the node that follows a story."""


class Writer:
    """Turns parts of texts into nodes; one for each plot, whose cast decides who may be named."""

    def __init__(self, automaton: Automaton, plot: Plot) -> None:
        self.automaton, self.plot, self.grammar = automaton, plot, automaton.grammar
        self._words: dict[str, frozenset[str]] = {}
        self._slots: dict[str, tuple[int, tuple[int, ...], tuple[float, ...]]] = {}

    def parts(self, parts: tuple[Part, ...], node: int, counted: bool = True) -> int:
        """The first node of a sequence that leads to `node`; `counted`: its keywords count as the story's."""
        for part in reversed(parts):
            if isinstance(part, Fork):
                options = [(1.0, self.parts(option, node, counted)) for option in part.options]
                node = self.automaton.branch(options)
            elif isinstance(part, Text):
                words = self._keywords(part.text) if counted else frozenset()
                node = self.automaton.add(Write(part.text, words, False, node))
            else:
                node = self._say(part, node)
        return node

    def _keywords(self, text: str) -> frozenset[str]:
        if text not in self._words:
            self._words[text] = frozenset(keywords_in(text, self.grammar.keywords))
        return self._words[text]

    def _say(self, mention: Mention, node: int) -> int:
        if mention.slot not in self._slots:
            slot, pool = self.grammar.slots[mention.slot], self.plot.cast[mention.slot]
            index = FREE if slot.free else self.automaton.slots.index(slot.name)
            self._slots[mention.slot] = index, pool, tuple(shares(slot.fillers[i].weight for i in pool))
        return self.automaton.add(Say(mention, *self._slots[mention.slot], node))

    def template(
        self,
        scene: Scene,
        template: Template,
        node: int,
        first: bool,
        spaced_start: bool,
        remember: bool = False,
    ) -> int:
        """A template told, then `node`; `first`: it begins the story, after a space or not."""
        facts = tuple(map(self.automaton.number, template.facts)) if remember else ()
        node = self.automaton.add(Told(scene.name, template, facts, node))
        head, *rest = template.parts
        if first and not spaced_start:
            return self.parts(template.parts, node)
        if self.plot.lines and not first:
            return self.parts((Text("\n"),), self.parts(template.parts, node))
        return self.parts((spaced(head), *rest), node)


def writer_of(automaton: Automaton, plot: Plot) -> Writer:
    """The writer of a plot, made once for each automaton."""
    if plot.name not in automaton.writers:
        automaton.writers[plot.name] = Writer(automaton, plot)
    return cast(Writer, automaton.writers[plot.name])


class Outlooks:
    """Where a plot's stories end, seen from each scene."""

    def __init__(self, plot: Plot) -> None:
        self.plot = plot
        self._scenes: dict[str, dict[str, float]] = {}

    def scene(self, name: str) -> Mapping[str, float]:
        """The chance of each ending when the story comes to a scene."""
        if name not in self._scenes:
            scene = self.plot.scenes[name]
            told = [(t.weight, self.after(scene, t)) for t in scene.templates]
            self._scenes[name] = _mixed(told)
        return self._scenes[name]

    def after(self, scene: Scene, template: Template) -> Mapping[str, float]:
        """The same once the scene has been told by a template."""
        follows = successors(scene, template)
        if not follows:
            return {ending_of(scene): 1.0}
        return _mixed([(weight, self.scene(name)) for name, weight in follows.items()])


def ending_of(scene: Scene) -> str:
    """How a story ends that goes no further than this scene, which the checks have seen to be an end."""
    return cast(str, scene.ending)


def _mixed(parts: list[tuple[float, Mapping[str, float]]]) -> dict[str, float]:
    total = sum(weight for weight, _ in parts)
    endings = sorted({ending for _, outlook in parts for ending in outlook})
    return {e: sum(weight * outlook.get(e, 0.0) for weight, outlook in parts) / total for e in endings}


@dataclass(frozen=True)
class Lengths:
    """How many passages of a story are told."""

    chances: Mapping[int, float] | None

    def stop(self, told: int) -> float:
        """The chance that a story stops after so many passages, given that it has come so far."""
        if not self.chances:
            return 0.0
        ahead = sum(chance for length, chance in self.chances.items() if length >= told or length == WHOLE)
        return self.chances.get(told, 0.0) / ahead if ahead else 1.0


class Path(NamedTuple):
    """One choice of templates for the passages of a story."""

    chance: float
    told: tuple[tuple[Scene, Template], ...]
    telling: Telling

    @property
    def facts(self) -> tuple[Fact, ...]:
        """The facts told, in order."""
        return tuple(fact for _, template in self.told for fact in template.facts)


def _nothing_follows(telling: Telling) -> int:
    raise ValueError("this teller was made without `then`: it can tell of its paths, and make no nodes")


class Teller:
    """Compiles stories of one plot."""

    def __init__(
        self,
        writer: Writer,
        lengths: Lengths,
        then: Then | None = None,
        *,
        remember: bool = False,
        towards: str | None = None,
        spaced_start: bool = False,
    ) -> None:
        self.writer, self.lengths, self.then = writer, lengths, then or _nothing_follows
        self.remember, self.towards, self.spaced_start = remember, towards, spaced_start
        self.plot, self.automaton = writer.plot, writer.automaton
        self._scenes: dict[tuple[str, int], int] = {}

    @cached_property
    def outlooks(self) -> Outlooks:
        """The endings of the plot."""
        return Outlooks(self.plot)

    def start(self) -> int:
        """The node where the story begins."""
        return self._scene(self.plot.start, 0)

    def paths(self) -> list[Path]:
        """Every choice of templates for a story of these lengths, with its chance."""
        return list(self._paths(self.plot.start, 1.0, ()))

    def chain(self, path: Path, node: int) -> int:
        """The story that a path tells, then `node`."""
        for index, (scene, template) in reversed(list(enumerate(path.told))):
            node = self.writer.template(scene, template, node, index == 0, self.spaced_start)
        return node

    def _paths(self, name: str, chance: float, told: tuple[tuple[Scene, Template], ...]) -> Iterator[Path]:
        scene = self.plot.scenes[name]
        for template, share in zip(scene.templates, shares(t.weight for t in scene.templates), strict=True):
            if not share:
                continue
            here = (*told, (scene, template))
            follows = successors(scene, template)
            stop = self.lengths.stop(len(here)) if follows else 1.0
            if stop:
                yield Path(chance * share * stop, here, self._telling(scene, template))
            for following, odds in follows.items() if stop < 1 else ():
                yield from self._paths(following, chance * share * (1 - stop) * odds, here)

    def _telling(self, scene: Scene, template: Template) -> Telling:
        ending = OPEN if successors(scene, template) else ending_of(scene)
        return Telling(ending, tuple(self.outlooks.after(scene, template).items()))

    def _scene(self, name: str, told: int) -> int:
        key = (name, told if self.lengths.chances else min(told, 1))
        if key not in self._scenes:
            scene = self.plot.scenes[name]
            weights = [(t.weight * self._bias(self.outlooks.after(scene, t)), t) for t in scene.templates]
            options = [(weight, self._template(scene, t, told)) for weight, t in weights if weight]
            self._scenes[key] = self.automaton.branch(options)
        return self._scenes[key]

    def _bias(self, outlook: Mapping[str, float]) -> float:
        """What a choice's weight is multiplied by so that the story comes to the wanted ending."""
        return 1.0 if self.towards is None else outlook.get(self.towards, 0.0)

    def _template(self, scene: Scene, template: Template, told: int) -> int:
        node = self._after(scene, template, told + 1)
        return self.writer.template(scene, template, node, told == 0, self.spaced_start, self.remember)

    def _after(self, scene: Scene, template: Template, told: int) -> int:
        follows = successors(scene, template)
        stop = self.lengths.stop(told) if follows else 1.0
        options = [(stop, self.then(self._telling(scene, template)))] if stop else []
        if stop < 1:
            ahead = [(weight * self._bias(self.outlooks.scene(n)), n) for n, weight in follows.items()]
            nodes = [(weight, self._scene(n, told)) for weight, n in ahead if weight]
            options.append((1 - stop, self.automaton.branch(nodes)))
        return self.automaton.branch(options)
