"""Questions about the facts of a story, with the one right answer to each; as nodes of an automaton.

A fact is asked for in up to four ways: its object ("What did Mia lose?"), its subject ("Who lost the kite?"), and whether
it is so, of the right object ("yes") or of another ("no"). Only what the text settles is asked: where two facts would
answer, neither is asked for; of a relation that changes (who has the kite *now*) the last one counts.
"""

from __future__ import annotations

from collections import defaultdict
from math import comb
from typing import NamedTuple

from minilm.storyworld.automaton import TARGET_MARK, Differ, Mark
from minilm.storyworld.documents import Kind, Notation, Parts, Relation, dressed, filled
from minilm.storyworld.grammar import Fact, Mention, Text
from minilm.storyworld.parts import literal
from minilm.storyworld.telling import Writer

WHAT, WHO, YES, NO = 2.0, 1.0, 1.0, 1.0
"""How often each way of asking is chosen, where it is possible."""


class Way(NamedTuple):
    """One way to ask for a fact."""

    weight: float
    question: Parts
    answer: Parts
    differs: bool
    """Whether the question names another object than the right one: its last mention is then one of the others."""


class Speech:
    """How facts are put into words in one plot."""

    def __init__(self, writer: Writer) -> None:
        self.writer, self.grammar = writer, writer.grammar

    def relation(self, fact: Fact) -> Relation | None:
        """How the fact's relation is said, by the slot of its object where that matters."""
        name = literal(fact[1])
        slots = [part.slot for part in fact[2] if isinstance(part, Mention)]
        known = self.grammar.relations
        return known.get(f"{name} {{{slots[-1]}}}" if slots else name) or known.get(name)

    def named(self, fact: Fact) -> Parts:
        """What the fact's subject is called in a sentence: Mia's uncle, the race."""
        head = fact[0][0]
        key = head.slot if isinstance(head, Mention) else literal([head])
        return self.grammar.called.get(key, fact[0])

    def values(self, fact: Fact) -> dict[str, Parts]:
        """The parts that replace each name in a notation's pattern."""
        relation = self.relation(fact)
        values = {"subject": fact[0], "relation": fact[1], "object": fact[2], "named": self.named(fact)}
        if relation and relation.says:
            values["says"] = filled(relation.says, {"object": fact[2]})
        else:
            values["says"] = (*fact[1], *dressed(fact[2], True, False))
        return values

    def is_person(self, fact: Fact) -> bool:
        """Whether the subject is a person, so that a pronoun can replace the name."""
        head = fact[0][0]
        if not isinstance(head, Mention):
            return False
        return all("he" in filler.forms for filler in self.grammar.slots[head.slot].fillers)

    def ways(self, fact: Fact, facts: tuple[Fact, ...], pronoun: bool) -> list[Way]:
        """The ways to ask for a fact among `facts`; `pronoun`: its subject is called she or he."""
        relation, found = self.relation(fact), list[Way]()
        if relation is None:
            return found
        values, head = self.values(fact), fact[0][0]
        subject = values["named"]
        if pronoun and isinstance(head, Mention):
            subject = (head._replace(form="he"),)
        values["subject"] = subject
        if relation.ask and self._settled(fact, facts, relation, (0, 1)):
            found.append(Way(WHAT, filled(relation.ask, values), fact[2], False))
            if relation.whether:
                told = filled(relation.whether, values)
                question = (
                    Text("Did"),
                    *dressed(subject, True, False),
                    *dressed(told, True, False),
                    Text("?"),
                )
                found += [Way(YES, question, (Text("yes"),), False)]
                found += [Way(NO, question, (Text("no"),), True)] * self._has_others(fact)
        if (
            relation.who
            and relation.says
            and self.is_person(fact)
            and self._settled(fact, facts, relation, (1, 2))
        ):
            question = (Text("Who"), *dressed(values["says"], True, False), Text("?"))
            found.append(Way(WHO, question, values["named"], False))
        return found

    def _settled(
        self, fact: Fact, facts: tuple[Fact, ...], relation: Relation, sides: tuple[int, int]
    ) -> bool:
        """Whether no other fact agrees with it on these sides, or it is the last that does and that is what counts."""
        alike = [other for other in facts if all(other[side] == fact[side] for side in sides)]
        if relation.latest:
            return sides == (0, 1) and alike[-1] is fact
        return len(set(alike)) == 1

    def _has_others(self, fact: Fact) -> bool:
        mentions = [part for part in fact[2] if isinstance(part, Mention)]
        if not mentions:
            return False
        pool = self.writer.plot.cast[mentions[-1].slot]
        return len({self.grammar.slots[mentions[-1].slot].fillers[i].weight for i in pool}) == 1 < len(pool)


class Asker:
    """Compiles the questions that follow one story."""

    def __init__(
        self,
        speech: Speech,
        kind: Kind,
        notation: Notation,
        facts: tuple[Fact, ...],
        node: int,
        *,
        target: bool,
    ) -> None:
        self.speech, self.writer, self.kind = speech, speech.writer, kind
        self.automaton = self.writer.automaton
        self.notation, self.node, self.target = notation, node, target
        self.facts = tuple(dict.fromkeys(facts))
        """(facts,) what was told, each once"""
        self.asked = [fact for fact in self.facts if speech.ways(fact, self.facts, False)]
        self._known: dict[tuple[int, int, Parts | None], int] = {}

    def start(self, spaced: bool) -> int | None:
        """The node where the first question begins; None where there is nothing to ask."""
        if not self.asked:
            return None
        turns: dict[int, float] = defaultdict(float)
        for turn, chance in (self.kind.turns or {1: 1.0}).items():
            turns[min(turn, len(self.asked))] += chance
        return self.automaton.branch(
            [(chance, self._next(n, 0, None, spaced)) for n, chance in turns.items()]
        )

    def _next(self, left: int, first: int, last: Fact | None, spaced: bool) -> int:
        """The node before the next of `left` questions, about one of the facts from `first` on."""
        if not left:
            return self.node
        key = (left, first, last and last[0])
        if key not in self._known:
            rest = range(first, len(self.asked) - left + 1)
            options: list[tuple[float, int]] = [
                (comb(len(self.asked) - 1 - index, left - 1), self._turn(left, index, last, spaced))
                for index in rest
            ]
            self._known[key] = self.automaton.branch(options)
        return self._known[key]

    def _turn(self, left: int, index: int, last: Fact | None, spaced: bool) -> int:
        fact = self.asked[index]
        pronoun = last is not None and last[0] == fact[0] and self.speech.is_person(fact)
        after = self._next(left - 1, index + 1, fact, spaced)
        ways = self.speech.ways(fact, self.facts, pronoun)
        options = [(way.weight, self._way(way, after, last is None, left == 1, spaced)) for way in ways]
        return self.automaton.branch(options)

    def _way(self, way: Way, node: int, first: bool, final: bool, spaced: bool) -> int:
        """One question with its answer, then `node`."""
        pattern = dressed(self.notation.each, spaced, False) if first else self.notation.later
        place = next(i for i, p in enumerate(pattern) if isinstance(p, Mention) and p.slot == "answer")
        node = self.writer.parts(pattern[place + 1 :], node, counted=False)
        node = self.writer.parts(filled((pattern[place],), {"answer": way.answer}), node, counted=False)
        if final and self.target:
            node = self.automaton.add(Mark(TARGET_MARK, node))
        question = filled(pattern[:place], {"question": way.question})
        return (
            self._differing(question, node)
            if way.differs
            else self.writer.parts(question, node, counted=False)
        )

    def _differing(self, question: Parts, node: int) -> int:
        """A question whose last mention says another filler."""
        place, mention = [(i, part) for i, part in enumerate(question) if isinstance(part, Mention)][-1]
        node = self.writer.parts(question[place + 1 :], node, counted=False)
        pool = self.writer.plot.cast[mention.slot]
        slot = self.automaton.slots.index(mention.slot)
        node = self.automaton.add(Differ(mention, slot, pool, node))
        return self.writer.parts(question[:place], node, counted=False)
