"""What all tasks made from the story world share: examples out of stories, the same ones for the same seed, in splits.

A split is a function of the text: a hash sends each text to train, dev or test, once and for ever. So a story that one
task, seed or difficulty trains on is in no other's test split, without anybody keeping a list. The stories of a split
are still stories drawn from the grammar, because a hash knows nothing of what it hashes.
"""

from __future__ import annotations

import hashlib
import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import count, islice
from typing import Any, ClassVar

from minilm.storyworld import Story, StoryWorld
from minilm.system.streams import python_stream

SHARES = {"train": 0.5, "dev": 0.25, "test": 0.25}
"""Share of all texts that belongs to each split. There are more stories than anybody can read, so none is scarce."""
BLOCK = 256
"""Stories drawn from the world at a time."""
PATIENCE = 5_000
"""Groups of stories in a row that may yield nothing new before a task gives up."""


@cache
def the_world(name: str = "documents") -> StoryWorld:
    """A world that comes with the course, read once."""
    return StoryWorld(name)


@dataclass(frozen=True)
class Task(ABC):
    """A recipe that turns stories into examples; its fields are the options that `load` takes.

    `load("train", 100)` is the same on every machine, and its first ten are `load("train", 10)`.
    """

    seed: int = 0
    """Another seed draws other examples of the same splits."""
    world: StoryWorld = field(default_factory=the_world)
    """Where the stories come from; `StoryWorld("my_grammar.yaml")` for a grammar of your own."""

    sizes: ClassVar[Mapping[str, int]] = {"train": 2_000, "dev": 250, "test": 250}
    """Examples in a split, by default."""

    @abstractmethod
    def examples(self, stories: tuple[Story, ...], split: str, rng: random.Random) -> Iterator[Any]:
        """The examples that a group of stories of this split gives; all chance comes from `rng`."""

    @property
    def drawn_from(self) -> StoryWorld:
        """The world that examples are made from: the plain stories."""
        return self.world.only("story")

    def law(self, split: str) -> StoryWorld | None:
        """The world whose documents, cut where the target begins, are the examples of a split; None where none is known.

        An oracle of this world gives the floor of the task; see `minilm.adaptation.known_truth`.
        """
        return None

    @property
    def group(self) -> int:
        """How many stories an example is made from."""
        return 1

    def own_text(self, example: Any) -> str | None:
        """The part of an example that must not occur in another split, where it is less than a story; else None."""
        return None

    def load(self, split: str, n: int | None = None) -> list[Any]:
        """The first `n` examples of a split; as many as `sizes` says if None.

        Raises:
            ValueError: no such split, or the world has too few such examples.
        """
        if split not in SHARES:
            raise ValueError(f"no split {split!r}; choose from {', '.join(SHARES)}")
        return list(islice(self.records(split), self.sizes[split] if n is None else n))

    def records(self, split: str) -> Iterator[Any]:
        """The examples of a split, without end; none comes twice."""
        seen: set[Any] = set()
        idle = 0
        for index, stories in enumerate(self._groups(split)):
            examples = self.examples(stories, split, python_stream(self.seed, index))
            new = (example for example in dict.fromkeys(examples) if example not in seen)
            fresh = [example for example in new if self._belongs(example, split)]
            seen.update(fresh)
            yield from fresh
            idle = 0 if fresh else idle + 1
            if idle == PATIENCE:
                raise ValueError(
                    f"{type(self).__name__} found nothing new in {PATIENCE:,} groups of stories after {len(seen):,} "
                    f"{split} examples; ask for fewer (n=), change its options, or widen the grammar"
                )

    def _belongs(self, example: Any, split: str) -> bool:
        text = self.own_text(example)
        return text is None or split_of(text) == split

    def _groups(self, split: str) -> Iterator[tuple[Story, ...]]:
        """The stories of a split, `group` at a time, without end."""
        stories = self._stories(split)
        while True:
            yield tuple(islice(stories, self.group))

    def _stories(self, split: str) -> Iterator[Story]:
        """The stories of a split, without end."""
        for block in count():
            seed = python_stream(self.seed, block).getrandbits(48)
            stories = [
                story for story in self.drawn_from.sample(BLOCK, seed=seed) if split_of(story.text) == split
            ]
            if not stories:
                raise ValueError(f"none of {BLOCK} stories fell into {split}: the world has too few of them")
            yield from stories


def split_of(text: str) -> str:
    """The split that a text belongs to.

    >>> split_of("Mia had a red kite.")
    'test'
    """
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64  # uniform in [0, 1)
    for split, share in SHARES.items():
        place -= share
        if place < 0:
            return split
    raise AssertionError("the shares sum to 1")


def at_least(low: int, **dial: int) -> None:
    """Raise ValueError unless the option is a whole number of `low` or more."""
    [(name, value)] = dial.items()
    if type(value) is not int or value < low:
        raise ValueError(f"{name} must be a whole number, {low} or more, got {value!r}")
