"""Every document of a small world by brute force, from the format's description, without minilm's code.

A document is written around one walk through a plot: what is asked for in it is worked out on the strings of the file
("{hero} | lost | {thing}"), then filled in with what the walk has bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from story_enumeration import Enumeration, weights

OPEN = "open"


@dataclass(frozen=True)
class Document:
    """A document with its probability."""

    prompt: str
    target: str
    chance: float
    kind: str
    plot: str
    ending: str
    hero: str
    keywords: frozenset[str]

    @property
    def text(self) -> str:
        return self.prompt + self.target

    def has(self, attribute: tuple[str, str] | None) -> bool:
        if attribute is None:
            return True
        name, value = attribute
        return value in self.keywords if name == "keyword" else getattr(self, name) == value


@dataclass(frozen=True)
class Walk:
    """A story told as far as it is told, and how the whole one would have ended."""

    text: str
    chance: float
    facts: tuple[str, ...]
    bound: dict
    ending: str
    """As far as told."""
    real_ending: str
    always: frozenset[str] = frozenset()


class Documents(Enumeration):
    """All documents of a grammar text."""

    def documents(self, only: str | None = None, notation: str | None = None) -> Iterator[Document]:
        kinds = {k: v for k, v in self.spec["documents"].items() if only in (None, k)}
        total = sum(kind.get("weight", 1) for kind in kinds.values())
        for name, kind in kinds.items():
            notations = {k: n if isinstance(n, dict) else {"text": n} for k, n in kind["notations"].items()}
            if notation:
                notations = {notation: notations[notation] | {"held_out": False}}
            odds = {k: 0 if n.get("held_out") else n.get("weight", 1) for k, n in notations.items()}
            for key, share in weights({k: w for k, w in odds.items() if w}).items():
                for prompt, target, chance, facts in self._examples(name, kind, notations[key]):
                    yield Document(
                        prompt, target, kind.get("weight", 1) / total * share * chance, name, *facts
                    )

    def _examples(self, name: str, kind: dict, notation: dict) -> Iterator[tuple[str, str, float, tuple]]:
        counts = weights(kind.get("examples", {1: 1}))
        single = list(self._example(kind, notation))

        def rows(left: int) -> Iterator[tuple[str, str, float, tuple]]:
            for prompt, target, chance, known in single:
                if left == 1:
                    yield prompt, target, chance, known
                    continue
                for later, last, odds, (plot, ending, _, keywords) in rows(left - 1):
                    text = prompt + target + kind.get("between", "\n") + later
                    yield text, last, chance * odds, (plot, ending, known[2], known[3] | keywords)

        for count, share in counts.items():
            for prompt, target, chance, known in rows(count):
                yield prompt, target, share * chance, known

    def _example(self, kind: dict, notation: dict) -> list[tuple[str, str, float, tuple]]:
        """(prompt, target, chance, attributes) of everything that one example may be; they sum to 1."""
        plots = {
            k: p
            for k, p in self.spec["plots"].items()
            if p.get("group", "story") == kind.get("group", "story")
        }
        found = []
        by_keyword = "{keyword}" in notation["text"]
        for name, share in weights({k: p.get("weight", 1) for k, p in plots.items()}).items():
            rows = []
            for walk in self._told(self.spec["plots"][name], kind.get("lengths")):
                said = set(re.findall(r"[a-z]+", walk.text.lower())) & set(self.spec["keywords"])
                known = (name, walk.ending, walk.bound["hero"]["text"], frozenset(said))
                for prompt, target, chance in self._write(notation, kind, walk, said):
                    rows.append((prompt, target, walk.chance * chance, known))
            total = 1.0 if by_keyword else sum(chance for _, _, chance, _ in rows)
            found += [(p, t, share * chance / total, known) for p, t, chance, known in rows]
        total = sum(chance for _, _, chance, _ in found)
        return [(p, t, chance / total, known) for p, t, chance, known in found]

    def _told(self, plot: dict, lengths: dict | None) -> list[Walk]:
        odds = weights({0 if k == "whole" else k: w for k, w in (lengths or {"whole": 1}).items()})
        whole = list(self._walks(plot, plot.get("start", next(iter(plot["scenes"]))), {}))
        always = frozenset.intersection(*(frozenset(steps[-1][1]) for steps, _, _ in whole))
        walks = []
        for steps, chance, ending in whole:
            for length, share in odds.items():
                told = steps[: length or None]
                texts, facts = [text for text, _, _ in told], [fact for _, _, new in told for fact in new]
                now = ending if len(told) == len(steps) else OPEN
                walks.append(
                    Walk(" ".join(texts), chance * share, tuple(facts), told[-1][1], now, ending, always)
                )
        return walks

    def _walks(self, plot: dict, name: str, bound: dict) -> Iterator[tuple[list, float, str]]:
        """([(text, bindings after it, facts as written in the file)], chance, ending)."""
        scene = plot["scenes"][name]
        for template, share in self._templates(scene):
            for text, chance, after in self._tell(template["text"], plot, bound):
                step = (text, after, template.get("facts", []))
                follows = weights(template.get("next", scene.get("next")))
                if not follows:
                    yield [step], share * chance, scene["ending"]
                for following, odds in follows.items():
                    for rest, p, ending in self._walks(plot, following, after):
                        yield [step, *rest], share * chance * odds * p, ending

    def _write(
        self, notation: dict, kind: dict, walk: Walk, keywords: set[str]
    ) -> Iterator[tuple[str, str, float]]:
        """(prompt, target, chance) of all texts that a notation makes of a walk."""
        pieces = re.split(r"(\{\w+\})", notation["text"])
        elements = [i for i, piece in enumerate(pieces) if piece.startswith("{")]
        ways = [("", 1.0, None)]  # text so far, chance, where the target begins
        for i, piece in enumerate(pieces):
            final = i == elements[-1] and len(elements) > 1
            following = []
            for text, chance, start in ways:
                if i not in elements:
                    following.append((text + piece, chance, start))
                    continue
                for said, odds, inner in self._element(piece[1:-1], notation, kind, walk, keywords):
                    # the space before an element belongs to it
                    here = len(text) - text.endswith(" ") if inner is None else len(text) + inner
                    following.append((text + said, chance * odds, here if final else start))
            ways = following
        for text, chance, start in ways:
            yield text[: start or 0], text[start or 0 :], chance

    def _element(
        self, name: str, notation: dict, kind: dict, walk: Walk, keywords: set[str]
    ) -> Iterator[tuple[str, float, int | None]]:
        """(text, chance, where its target begins if not at its start)."""
        if name == "story":
            yield walk.text, 1.0, None
        elif name.lower() == "ending":
            yield capital(walk.real_ending, name[0].isupper()), 1.0, None
        elif name == "keyword":
            yield from ((word, 1.0, None) for word in sorted(keywords))
        elif name == "facts":
            if walk.facts:
                each = [self._fact(notation["each"], fact, walk) for fact in walk.facts]
                yield notation.get("between", " ").join(each), 1.0, None
        elif name == "nouns":
            nouns = [pattern for slot, pattern in self.spec["nouns"].items() if slot in walk.always]
            pairs = list(combinations(nouns, min(2, len(nouns))))
            for pair in pairs:
                each = [notation["each"].replace("{noun}", noun) for noun in pair]
                text = self._filled(notation.get("between", " ").join(each), walk.bound)
                yield text, 1 / len(pairs), None
        else:
            yield from self._questions(notation, kind, walk)

    def _filled(self, text: str, bound: dict) -> str:
        """Mentions replaced by what they are bound to."""

        def said(match: re.Match) -> str:
            slot, form = match.group(1), match.group(2)
            filler = bound[slot[0].lower() + slot[1:]]
            if form:
                word = filler.get(form) or self.spec["agreement"][filler["agreement"]][form]
            else:
                word = filler["text"]
            return capital(word, slot[0].isupper())

        return re.sub(r"\{(\w+)(?:\.(\w+))?\}", said, text)

    def _fact(self, pattern: str, fact: str, walk: Walk) -> str:
        values = self._values(fact)
        return re.sub(
            r"\{(\w+)\}",
            lambda m: capital(self._filled(values[m.group(1).lower()], walk.bound), m.group(1)[0].isupper()),
            pattern,
        )

    def _values(self, fact: str) -> dict[str, str]:
        subject, relation, thing = (side.strip() for side in fact.split("|"))
        says = self.spec["relations"].get(relation, {}).get("says")
        called = self.spec.get("called", {})
        return {
            "subject": subject,
            "relation": relation,
            "object": thing,
            "named": called.get(subject.strip("{}"), subject),
            "says": says.replace("{object}", thing) if says else f"{relation} {thing}",
        }

    def _questions(self, notation: dict, kind: dict, walk: Walk) -> Iterator[tuple[str, float, int | None]]:
        facts = list(dict.fromkeys(walk.facts))
        asked = [fact for fact in facts if self._ways(fact, facts, False, walk)]
        if not asked:
            return
        for turns, share in weights(kind.get("turns", {1: 1})).items():
            chosen = list(combinations(asked, min(turns, len(asked))))
            for some in chosen:
                for text, chance, place in self._turns(some, facts, notation, walk, None):
                    yield text, share / len(chosen) * chance, place

    def _turns(self, some: tuple, facts: list, notation: dict, walk: Walk, last: str | None) -> Iterator:
        fact, *rest = some
        subject = fact.split("|")[0].strip()
        person = self._is_person(subject)
        ways = self._ways(fact, facts, person and last == subject, walk)
        total = sum(weight for weight, _, _ in ways)
        for weight, question, answer in ways:
            before, after = notation["each"].split(
                "{Answer}" if "{Answer}" in notation["each"] else "{answer}"
            )
            answer = capital(answer, "{Answer}" in notation["each"])
            head = before.replace("{question}", question)
            text = head + answer + after
            if not rest:
                yield text, weight / total, len(head) - head.endswith(" ")
                continue
            for later, chance, place in self._turns(tuple(rest), facts, notation, walk, subject):
                between = notation.get("between", " ")
                yield text + between + later, weight / total * chance, len(text + between) + place

    def _is_person(self, subject: str) -> bool:
        slot = self.spec["slots"].get(subject.strip("{}")) if subject.startswith("{") else None
        forms = [
            self.spec["agreement"].get(f.get("agreement"), ()) if isinstance(f, dict) else ()
            for f in slot or ()
        ]
        return bool(forms) and all("he" in form for form in forms)

    def _ways(self, fact: str, facts: list, pronoun: bool, walk: Walk) -> list[tuple[float, str, str]]:
        """(weight, question, answer) of every way to ask for a fact."""
        subject, relation, thing = (side.strip() for side in fact.split("|"))
        how = self.spec["relations"].get(relation)
        if how is None:
            return []
        split = [[side.strip() for side in other.split("|")] for other in facts]
        about = [other for other in split if other[:2] == [subject, relation]]
        same = [other for other in split if other[1:] == [relation, thing]]
        name = self._filled(subject[:-1] + ".he}" if pronoun else self._values(fact)["named"], walk.bound)
        answer, found = self._filled(thing, walk.bound), []
        if "ask" in how and (about[-1][2] == thing if how.get("latest") else len(about) == 1):
            found.append((2.0, how["ask"].replace("{subject}", name), answer))
            if "whether" in how:
                for right, other, odds in self._objects(thing, walk):
                    told = self._filled(how["whether"].replace("{object}", other), walk.bound)
                    found.append((odds, f"Did {name} {told}?", "yes" if right else "no"))
        says = how.get("says")
        if (
            how.get("who", True)
            and says
            and self._is_person(subject)
            and not how.get("latest")
            and len(same) == 1
        ):
            said = self._filled(says.replace("{object}", thing), walk.bound)
            found.append((1.0, f"Who {said}?", self._filled(self._values(fact)["named"], walk.bound)))
        return found

    def _objects(self, thing: str, walk: Walk) -> Iterator[tuple[bool, str, float]]:
        """(is it the right one, object, weight): the right one, and each wrong one."""
        yield True, thing, 1.0
        mentions = re.findall(r"\{(\w+)\}", thing)
        if mentions:
            pool = [f if isinstance(f, dict) else {"text": f} for f in self.spec["slots"][mentions[-1]]]
            if len({f.get("weight", 1) for f in pool}) > 1:
                return  # only fillers that are equally likely are put in each other's place
            others = [f["text"] for f in pool if f["text"] != walk.bound[mentions[-1]]["text"]]
            for other in others:
                yield False, thing.replace(f"{{{mentions[-1]}}}", other), 1 / len(others)


def capital(text: str, large: bool) -> str:
    """The text, its first letter large if asked for."""
    return text[0].upper() + text[1:] if large else text
