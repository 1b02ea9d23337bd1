"""Every story of a small grammar by brute force, written from the format's description, without minilm's code.

Brackets and braces are replaced in the raw text, one story at a time; probabilities are summed over whole
stories.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml


@dataclass(frozen=True)
class Told:
    """A finished story with its probability."""

    text: str
    chance: float
    plot: str
    ending: str
    hero: str
    keywords: frozenset[str]
    kind: str = "story"

    def has(self, attribute: tuple[str, str] | None) -> bool:
        if attribute is None:
            return True
        name, value = attribute
        return value in self.keywords if name == "keyword" else getattr(self, name) == value


@dataclass
class Enumeration:
    """All stories of a grammar text."""

    grammar: str
    spec: dict = field(init=False)

    def __post_init__(self) -> None:
        self.spec = yaml.safe_load(self.grammar)

    def stories(self) -> list[Told]:
        plots = self.spec["plots"]
        total = sum(plot.get("weight", 1) for plot in plots.values())
        return [
            self._finish(text, chance * plot.get("weight", 1) / total, name, ending, bound["hero"]["text"])
            for name, plot in plots.items()
            for text, chance, ending, bound in self._walk(
                plot, plot.get("start", next(iter(plot["scenes"]))), {}
            )
        ]

    def _finish(self, text: str, chance: float, plot: str, ending: str, hero: str) -> Told:
        words = set(re.findall(r"[a-z]+", text.lower()))
        return Told(text, chance, plot, ending, hero, frozenset(words & set(self.spec["keywords"])))

    def _walk(self, plot: dict, name: str, bound: dict) -> Iterator[tuple[str, float, str, dict]]:
        scene = plot["scenes"][name]
        for template, share in self._templates(scene):
            for text, chance, after in self._tell(template["text"], plot, bound):
                follows = weights(template.get("next", scene.get("next")))
                if not follows:
                    yield text, share * chance, scene["ending"], after
                for following, odds in follows.items():
                    for rest, p, ending, end_bound in self._walk(plot, following, after):
                        yield f"{text} {rest}", share * chance * odds * p, ending, end_bound

    def _templates(self, scene: dict) -> list[tuple[dict, float]]:
        templates = []
        for item in scene["templates"]:
            spliced = self.spec["shared"][item["use"]] if isinstance(item, dict) and "use" in item else [item]
            templates += [{"text": t} if isinstance(t, str) else t for t in spliced]
        total = sum(template.get("weight", 1) for template in templates)
        return [(t, t.get("weight", 1) / total) for t in templates if t.get("weight", 1)]

    def _tell(self, text: str, plot: dict, bound: dict) -> Iterator[tuple[str, float, dict]]:
        for flat, chance in flatten(text):
            for told, p, after in self._fill(flat, plot, bound):
                yield told, chance * p, after

    def _fill(self, text: str, plot: dict, bound: dict) -> Iterator[tuple[str, float, dict]]:
        mention = re.search(r"\{(?:([aA]) )?(\w+)(?:\.(\w+))?\}", text)
        if mention is None:
            yield text, 1.0, bound
            return
        article, name, form = mention.groups()
        slot = name[0].lower() + name[1:]
        free = slot in self.spec.get("words", {})
        choices = [(bound[slot], 1.0)] if slot in bound else self._pool(slot, plot)
        for filler, chance in choices:
            said = self._say(filler, article, form)
            if mention.group()[1].isupper():
                said = said[0].upper() + said[1:]
            after = bound if free else {**bound, slot: filler}
            rest = text[: mention.start()] + said + text[mention.end() :]
            for told, p, last in self._fill(rest, plot, after):
                yield told, chance * p, last

    def _say(self, filler: dict, article: str | None, form: str | None) -> str:
        if form:
            return filler[form] if form in filler else self.spec["agreement"][filler["agreement"]][form]
        if not article:
            return filler["text"]
        return (
            filler.get("article", "an" if filler["text"][0].lower() in "aeiou" else "a")
            + " "
            + filler["text"]
        )

    def _pool(self, slot: str, plot: dict) -> list[tuple[dict, float]]:
        body = self.spec["slots"].get(slot) or self.spec["words"][slot]
        default = {"agreement": body["agreement"]} if isinstance(body, dict) and "agreement" in body else {}
        items = body["fillers"] if isinstance(body, dict) else body
        fillers = [default | ({"text": item} if isinstance(item, str) else item) for item in items]
        admitted = plot.get("cast", {}).get(slot)
        if isinstance(admitted, str):
            fillers = [filler for filler in fillers if admitted in filler.get("tags", ())]
        elif admitted:
            fillers = [filler for filler in fillers if filler["text"] in admitted]
        total = sum(filler.get("weight", 1) for filler in fillers)
        return [(f, f.get("weight", 1) / total) for f in fillers if f.get("weight", 1)]


def weights(following: str | list | dict | None) -> dict[str, float]:
    """Next scenes with their probabilities."""
    if following is None:
        return {}
    table = (
        following
        if isinstance(following, dict)
        else dict.fromkeys([following] if isinstance(following, str) else following, 1)
    )
    return {name: weight / sum(table.values()) for name, weight in table.items() if weight}


def flatten(text: str) -> Iterator[tuple[str, float]]:
    """The text without brackets, in every way, innermost bracket first."""
    bracket = re.search(r"\[([^\[\]]*)\]", text)
    if bracket is None:
        yield re.sub(" +", " ", text), 1.0
        return
    options = bracket.group(1).split("|")
    for option in options:
        before = text[: bracket.start()]
        if not option and before.endswith(" "):
            before = before[:-1]
        for flat, chance in flatten(before + option + text[bracket.end() :]):
            yield flat, chance / len(options)


class PrefixTable:
    """Next-token probabilities of a list of stories, by counting whole token sequences."""

    def __init__(self, stories: list[Told], tokenizer, attribute: tuple[str, str] | None = None) -> None:
        self.next: dict[tuple[int, ...], dict[int, float]] = defaultdict(lambda: defaultdict(float))
        self.mass = sum(story.chance for story in stories if story.has(attribute))
        for story in stories:
            if story.has(attribute):
                ids = (*tokenizer.encode(story.text), tokenizer.end_of_text)
                for t, token in enumerate(ids):
                    self.next[ids[:t]][token] += story.chance

    def row(self, prefix: tuple[int, ...]) -> dict[int, float]:
        """P(next token | prefix) for every token that can come; empty when no story begins so."""
        counts = self.next.get(prefix, {})
        total = sum(counts.values())
        return {token: chance / total for token, chance in counts.items()}

    def probability(self, prefix: tuple[int, ...]) -> float:
        """P(prefix)."""
        return sum(self.next.get(prefix, {}).values()) / self.mass
