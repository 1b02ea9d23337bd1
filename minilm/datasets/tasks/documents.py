"""Documents of one kind in one notation, cut where the target begins: a task whose floor is known exactly.

    task = StoryDocuments(kind="facts first", notation="colons")
    pairs = [(example.prompt, example.target) for example in task.load("dev")]
    Oracle(task.drawn_from, tokenizer).target_floor(pairs)         # the loss of a perfect model, nats per token

The examples have the very law that the oracle computes, since both come from the same grammar. A notation may be one that is
held out of pretraining: then what tuning has to learn is this notation, not the language.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from minilm.datasets.records import StoryDocument, Triple
from minilm.datasets.tasks.task import Task, the_world
from minilm.storyworld import Story, StoryWorld
from minilm.storyworld.documents import STORY, elements


@dataclass(frozen=True)
class StoryDocuments(Task):
    """A prompt and its target, as documents of one kind have them."""

    world: StoryWorld = field(default_factory=the_world)
    """Where the documents come from; a world that has kinds of them."""
    kind: str = "facts first"
    """The kind of document; `world.kinds` lists them."""
    notation: str | None = "colons"
    """How it is written, a notation held out of pretraining perhaps; None: in all that pretraining has."""
    changes: tuple[tuple[str, object], ...] = ()
    """Other fields of the kind, as pairs: (("turns", {3: 1.0}),) for three questions each."""

    def __post_init__(self) -> None:
        if not self.drawn_from.sample(1)[0].prompt:
            raise ValueError(f"kind={self.kind!r} has nothing to prompt with: its documents are all target")

    @property
    def drawn_from(self) -> StoryWorld:
        """The world of this kind and notation alone."""
        return self.world.only(self.kind, notation=self.notation, **dict(self.changes))

    def law(self, split: str) -> StoryWorld:
        """The same world: examples are its documents."""
        return self.drawn_from

    def examples(self, stories: tuple[Story, ...], split: str, rng: random.Random) -> Iterator[StoryDocument]:
        """The document, cut in two."""
        document = stories[0]
        facts = tuple(Triple(*fact) for fact in document.facts)
        yield StoryDocument(document.prompt, document.target, facts, self.kind)

    def own_text(self, example: StoryDocument) -> str:
        """The prompt, which documents of different splits may share; the target where prompts are few, such as moods."""
        return example.target if self.asks_for_stories else example.prompt

    @property
    def asks_for_stories(self) -> bool:
        """Whether a story is written after a prompt that tells nothing of it but a word or two."""
        kind = self.world.grammar.kinds[self.kind]
        return not kind.has("facts") and all(elements(each)[-1] == STORY for each in kind.notations.values())
