"""The course's own grammar: as large, as varied and as tied together as the lessons need."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from minilm.storyworld import Story, StoryWorld


@pytest.fixture(scope="module")
def stories(course: StoryWorld) -> list[Story]:
    return course.sample(4000, seed=40)


def test_size(course: StoryWorld, stories: list[Story]) -> None:
    attributes = course.attributes()
    assert len(attributes["plot"]) >= 6
    assert len(attributes["keyword"]) >= 12
    assert set(attributes["ending"]) == {"happy", "sad"}
    assert course.count_stories() > 10**12
    assert len({word for story in stories for word in re.findall(r"[a-z]+", story.text.lower())}) >= 600
    assert len({story.text for story in stories}) == len(stories)


def test_attributes_are_neither_rare_nor_certain(course: StoryWorld) -> None:
    for name, values in course.attributes().items():
        for value, prior in values.items():
            assert 0.01 < prior < 0.9, (name, value)


def test_length(stories: list[Story]) -> None:
    lengths = sorted(len(story.text.split()) for story in stories)
    assert lengths[0] >= 35 and lengths[-1] <= 160
    assert lengths[len(lengths) // 20] >= 40


def test_the_end_refers_to_the_beginning(stories: list[Story]) -> None:
    """What the first two of five passages name, the hero apart, one of the last two names again."""
    for story in stories[:1000]:
        early, late = " ".join(story.passages[:2]), " ".join(story.passages[-2:])
        nouns = [filler.split()[-1] for slot, filler in story.bindings.items() if slot != "hero"]
        assert len(story.passages) > 4 and any(noun in early and noun in late for noun in nouns), story.text


def test_surface(stories: list[Story]) -> None:
    """What an error of agreement looks like from outside: a wrong article, a doubled word, a stray mark."""
    for story in stories:
        assert not re.search(
            r"\b[Aa] [aeioAEIO]\w+|\b[Aa]n [b-df-gj-np-tv-zB-DF-GJ-NP-TV-Z]\w+",
            story.text.replace("a one", ""),
        ), story.text
        assert not re.search(r"\b(\w+) \1\b", story.text), story.text
        assert not re.search(r" [,.!?;:]|[{}\[\]|]|  |,,|\.\.(?!\.)", story.text), story.text
        assert story.text.count('"') % 2 == 0


def test_openings_vary(stories: list[Story]) -> None:
    """No way to begin is common: with its slots emptied, the first passage is one of many."""
    shapes = Counter()
    for story in stories:
        shape = story.passages[0]
        for filler in sorted(story.bindings.values(), key=len, reverse=True):
            shape = shape.replace(filler, "_")
        shapes[shape] += 1
    assert shapes.most_common(1)[0][1] / len(stories) < 0.05


def test_facts_name_what_the_story_names(stories: list[Story]) -> None:
    for story in stories[:500]:
        assert len(story.facts) >= 2
        for subject, _, other in story.facts:
            assert subject.split()[-1] in story.text or other.split()[-1] in story.text
