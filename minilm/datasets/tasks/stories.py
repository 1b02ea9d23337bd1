"""Plain stories: what a model is pretrained on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from minilm.datasets.tasks.task import Task
from minilm.storyworld import Story


@dataclass(frozen=True)
class Stories(Task):
    """Texts of stories, as the grammar draws them."""

    sizes: ClassVar[Mapping[str, int]] = {"train": 5_000, "dev": 1_000, "test": 1_000}

    def examples(self, stories: tuple[Story, ...], split: str, rng: random.Random) -> Iterator[str]:
        """The story's text."""
        yield stories[0].text
