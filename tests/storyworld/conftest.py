"""A small world whose stories can all be listed, the course's world, and tokenizers for both."""

from __future__ import annotations

import random
import warnings
from functools import cache
from pathlib import Path

import pytest
from story_enumeration import Enumeration, Told

from minilm import BPETokenizer
from minilm.storyworld import Story, StoryWorld

MINI = Path(__file__).with_name("mini.yaml")


@pytest.fixture(scope="session")
def mini() -> StoryWorld:
    return StoryWorld(MINI)


@pytest.fixture(scope="session")
def mini_stories() -> list[Told]:
    """Every story of the mini world, by brute force."""
    return Enumeration(MINI.read_text()).stories()


@pytest.fixture(scope="session")
def mini_tokenizer(mini_stories: list[Told]) -> BPETokenizer:
    """A vocabulary in which most words are cut in pieces, so that tokens are shared between words."""
    return BPETokenizer.train([story.text for story in mini_stories[::7]], vocab_size=300)


@pytest.fixture(scope="session")
def documents() -> StoryWorld:
    """The course's world, with all its kinds of document."""
    return StoryWorld("documents")


@pytest.fixture(scope="session")
def course(documents: StoryWorld) -> StoryWorld:
    """The course's stories."""
    return documents.only("story")


@pytest.fixture(scope="session")
def names(course: StoryWorld):
    """Whether a text names what fills a slot of a story, in any of its forms: cherry, cherries."""

    def names(story: Story, slot: str, text: str) -> bool:
        filler = next(f for f in course.grammar.slots[slot].fillers if f.text == story.bindings[slot])
        own = [word for form, word in filler.forms.items() if form not in course.grammar.agreement_forms]
        return any(word.split()[-1] in text for word in (filler.text, *own))

    return names


@pytest.fixture(scope="session")
def course_tokenizer(course: StoryWorld):
    """Tokenizers of the course's world by size; strange words fill what its own words cannot fill."""
    draw = random.Random(0)
    strange = ["".join(draw.choices("bcdfglmnprst", k=7)) for _ in range(4000)]

    @cache
    def train(vocab_size: int) -> BPETokenizer:
        texts = [story.text for story in course.sample(1500, seed=1)]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return BPETokenizer.train([*texts, " ".join(strange)], vocab_size=vocab_size)

    return train
