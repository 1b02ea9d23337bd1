"""No two stories of the course's world feel alike, and the end of each leans on its beginning."""

from __future__ import annotations

from collections import Counter

import pytest

from minilm.storyworld import Story, StoryWorld


@pytest.fixture(scope="module")
def stories(course: StoryWorld) -> list[Story]:
    return course.sample(2000, seed=40)


def test_no_story_comes_twice(stories: list[Story]) -> None:
    assert len({story.text for story in stories}) == len(stories)


def test_no_opening_is_common(stories: list[Story]) -> None:
    """With its slots emptied, the first passage is one of many."""
    shapes = Counter()
    for story in stories:
        shape = story.passages[0]
        for filler in sorted(story.bindings.values(), key=len, reverse=True):
            shape = shape.replace(filler, "_")
        shapes[shape] += 1
    assert shapes.most_common(1)[0][1] / len(stories) < 0.05


def test_the_end_refers_to_the_beginning(stories: list[Story], names) -> None:
    """What the first two of five passages name, the hero apart, one of the last two names again."""
    for story in stories:
        early, late = " ".join(story.passages[:2]), " ".join(story.passages[-2:])
        slots = [slot for slot in story.bindings if slot != "hero"]
        ties = [slot for slot in slots if names(story, slot, early) and names(story, slot, late)]
        assert len(story.passages) > 4 and ties, story.text
