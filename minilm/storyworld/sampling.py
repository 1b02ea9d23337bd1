"""Walks through the automaton that make stories, free or conditioned on an attribute."""

from __future__ import annotations

import math
import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, cast

import regex

from minilm.storyworld.attributes import CERTAIN, Condition, Outlook
from minilm.storyworld.automaton import (
    FREE,
    TARGET_MARK,
    Automaton,
    Branch,
    Differ,
    End,
    Mark,
    Recall,
    Say,
    Told,
    Write,
)
from minilm.storyworld.grammar import HERO, Filler, say_fact
from minilm.system.streams import python_stream

_SENTENCE_END = regex.compile(r"(?<=[.!?][\"”]?) (?=[\"“]?\p{Lu})")


@dataclass(frozen=True)
class Story:
    """A document, most often a story, and what is true of it."""

    text: str
    attributes: Mapping[str, str | tuple[str, ...]]
    """"kind"; "keyword": those that occur in what is told, in the grammar's order; "ending", "open" where the story is
    cut; "plot"; "hero". Of several examples in one document: the plot and ending of the last, the hero of the first."""
    facts_of: tuple[tuple[tuple[str, str, str], ...], ...]
    """The (subject, relation, object) triples that each passage tells."""
    bindings: Mapping[str, str]
    """The slots that it mentions, in the order of first mention, and what fills them."""
    scenes: tuple[str, ...]
    """The scenes it went through."""
    passages: tuple[str, ...]
    """What each scene said; in a plain story they are, joined by spaces, the text."""
    target_start: int | None
    """Where in the text its last element begins, in characters: the story that was asked for, the last answer. None
    where there is nothing before it."""
    log_probability: float
    """Natural log of the probability of the choices that made it (without any condition)."""

    def value(self, name: str) -> str:
        """The value of an attribute that has one only: "kind", "ending", "plot" or "hero"."""
        return str(self.attributes[name])

    @property
    def prompt(self) -> str:
        """Everything before the target; empty if there is no target."""
        return self.text[: self.target_start or 0]

    @property
    def target(self) -> str:
        """The last element; with `prompt` before it, it is the text."""
        return self.text[self.target_start or 0 :]

    @property
    def facts(self) -> tuple[tuple[str, str, str], ...]:
        """All the triples that it tells, in the order of telling."""
        return tuple(fact for passage in self.facts_of for fact in passage)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Its sentences; speech stays in one piece."""
        return tuple(sentence for passage in self.passages for sentence in _sentences(passage))


def _sentences(passage: str) -> Iterator[str]:
    """Cut after a full stop before a capital, except between an opening and a closing quote mark."""
    open_speech = ""
    for piece in _SENTENCE_END.split(passage):
        sentence = f"{open_speech} {piece}" if open_speech else piece
        open_speech = sentence if sentence.count('"') % 2 else ""
        if not open_speech:
            yield sentence


class _Choice:
    """A node's ways on: cumulative weights to draw from, and each one's log-probability without condition."""

    __slots__ = ("bounds", "last", "logs", "settles", "targets")
    targets: tuple[int, ...]
    settles: tuple[bool, ...]

    def __init__(self, options: list[tuple[float, float, int, bool]]) -> None:
        """Options as (weight to draw with, probability, target, settled)."""
        weights, chances, self.targets, self.settles = zip(*(o for o in options if o[0] > 0), strict=True)
        self.bounds = list(accumulate(weights))
        self.last = len(weights) - 1
        self.logs = [math.log(chance) for chance in chances]

    def draw(self, rng: random.Random) -> int:
        """The index of an option."""
        return bisect_right(self.bounds, rng.random() * self.bounds[-1], 0, self.last)


class Sampler:
    """Draws stories from an automaton; tables of each node are made when it is first met."""

    def __init__(self, automaton: Automaton, condition: Condition | None = None) -> None:
        self.automaton, self.condition = automaton, condition
        self._choices: dict[tuple[Any, Any], _Choice] = {}
        self.keywords = tuple(automaton.grammar.keywords)
        self.fillers = {name: slot.fillers for name, slot in automaton.grammar.slots.items()}

    def draw(self, seed: int, index: int) -> Story:
        """Story number `index` of the stream `seed`: the same whatever else is drawn."""
        return _Telling(self, python_stream(seed, index)).tell()

    def settles(self, node: Write) -> bool:
        """Whether saying a text with keywords settles the condition."""
        if self.condition is None:
            return True
        self.condition.h(node.next)
        return self.condition.after(node, FREE).settled

    def choice(self, index: int, settled: bool) -> _Choice:
        """The ways on from a node, weighted by h unless settled."""
        key = index, settled
        if key not in self._choices:
            node = self.automaton.nodes[index]
            alike = (node.mention.slot, node.pool) if settled and isinstance(node, Say) else key
            if alike not in self._choices:
                self._choices[alike] = _Choice(self._options(cast(Branch | Say, node), settled))
            self._choices[key] = self._choices[alike]
        return self._choices[key]

    def _options(self, node: Branch | Say, settled: bool) -> list[tuple[float, float, int, bool]]:
        targets = node.nodes if isinstance(node, Branch) else node.pool
        options = []
        for chance, target in zip(node.chances, targets, strict=True):
            outlook = CERTAIN if settled or self.condition is None else _outlook(self.condition, node, target)
            options.append((chance * outlook.chance, chance, target, outlook.settled))
        return options


def _outlook(condition: Condition, node: Branch | Say, target: int) -> Outlook:
    """What a way on from a node means for a condition that is not settled yet."""
    if isinstance(node, Branch):
        return Outlook(condition.h(target), False)
    condition.h(node.next)
    return condition.after(node, target)


class _Telling:
    """One story while it is told."""

    def __init__(self, sampler: Sampler, rng: random.Random) -> None:
        self.sampler, self.rng = sampler, rng
        self.settled = sampler.condition is None
        self.bound: dict[str, Filler] = {}
        self.hero = ""
        self.text: list[str] = []
        self.target_start: int | None = None
        self.passage: list[str] = []
        self.passages: list[str] = []
        self.scenes: list[str] = []
        self.facts: list[tuple[tuple[str, str, str], ...]] = []
        self.memory: tuple[int, ...] = ()
        self.keywords: set[str] = set()
        self.log_probability = 0.0

    def tell(self) -> Story:
        nodes, index = self.sampler.automaton.nodes, self.sampler.automaton.root
        while not isinstance(node := nodes[index], End):
            index = _STEPS[type(node)](self, index, node)
        return self._story(node)

    def branch(self, index: int, node: Branch) -> int:
        return self._choose(index)

    def write(self, index: int, node: Write) -> int:
        self._speak(node.text)
        if node.forget:
            self.bound.clear()
            self.memory = ()
        if node.keywords:
            self.keywords |= node.keywords
            self.settled = self.settled or self.sampler.settles(node)
        return node.next

    def say(self, index: int, node: Say) -> int:
        name = node.mention.slot
        filler = self.bound.get(name)
        if filler is None:
            filler = self.sampler.fillers[name][self._choose(index)]
            if node.slot != FREE:
                self.bound[name] = filler
                self.hero = self.hero or (filler.text if name == HERO else "")
        self._speak(node.mention.say(filler))
        return node.next

    def differ(self, index: int, node: Differ) -> int:
        fillers = self.sampler.fillers[node.mention.slot]
        others = [fillers[i] for i in node.pool if fillers[i] is not self.bound[node.mention.slot]]
        self.log_probability -= math.log(len(others))
        self._speak(node.mention.say(self.rng.choice(others)))
        return node.next

    def mark(self, index: int, node: Mark) -> int:
        if node.what == TARGET_MARK:
            self.target_start = sum(map(len, self.text))
        else:
            self.passage.clear()
        return node.next

    def _speak(self, text: str) -> None:
        self.text.append(text)
        self.passage.append(text)

    def told(self, index: int, node: Told) -> int:
        self.passages.append("".join(self.passage).strip())
        self.passage.clear()
        self.scenes.append(node.scene)
        self.facts.append(tuple(say_fact(fact, self.bound) for fact in node.template.facts))
        self.memory += node.facts
        return node.next

    def recall(self, index: int, node: Recall) -> int:
        return self.sampler.automaton.recall(index, self.memory)

    def _choose(self, index: int) -> int:
        choice = self.sampler.choice(index, self.settled)
        drawn = choice.draw(self.rng)
        self.settled = choice.settles[drawn]
        self.log_probability += choice.logs[drawn]
        return choice.targets[drawn]

    def _story(self, end: End) -> Story:
        keywords = tuple(word for word in self.sampler.keywords if word in self.keywords)
        return Story(
            text="".join(self.text),
            attributes={
                "kind": end.kind,
                "keyword": keywords,
                "ending": end.ending,
                "plot": end.plot,
                HERO: self.hero,
            },
            facts_of=tuple(self.facts),
            bindings={name: filler.text for name, filler in self.bound.items()},
            scenes=tuple(self.scenes),
            passages=tuple(self.passages),
            target_start=self.target_start,
            log_probability=self.log_probability,
        )


_STEPS: dict[type, Callable[[_Telling, int, Any], int]] = {
    Branch: _Telling.branch,
    Write: _Telling.write,
    Say: _Telling.say,
    Differ: _Telling.differ,
    Told: _Telling.told,
    Mark: _Telling.mark,
    Recall: _Telling.recall,
}
