"""Facts are read back from the text alone: those that the draw told, and none where the text is no story."""

from __future__ import annotations

from collections import defaultdict

import pytest
from document_enumeration import Documents
from hypothesis import given, settings
from hypothesis import strategies as st
from test_documents import FILE

from minilm.storyworld import StoryWorld


@pytest.fixture(scope="module")
def stories(documents: StoryWorld):
    return documents.sample(150, seed=60, kind="story")


def test_whole_stories(documents, stories) -> None:
    for story in stories:
        assert documents.facts_told(story.text) == story.facts


def test_beginnings(documents, stories) -> None:
    """Up to any passage; a passage that is cut does not count."""
    for story in stories[:60]:
        for passages in range(1, len(story.passages)):
            text = " ".join(story.passages[:passages])
            facts = tuple(fact for facts in story.facts_of[:passages] for fact in facts)
            assert documents.facts_told(text) == facts
            following = story.passages[passages]
            assert documents.facts_told(f"{text} {following[: len(following) // 2]}") == facts


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_a_wrong_word_is_noticed(documents, stories, data) -> None:
    """The reading stops in the passage that has it, and keeps the facts of those before."""
    story = data.draw(st.sampled_from(stories))
    place = data.draw(st.integers(0, len(story.passages) - 1))
    before, passage = " ".join(story.passages[:place]), story.passages[place]
    words = passage.split(" ")
    at = data.draw(st.integers(0, len(words) - 1))
    words[at] = "zebra"
    text = " ".join([*story.passages[:place], " ".join(words), *story.passages[place + 1 :]])
    reading = documents.reading(text)
    assert not reading.possible and documents.facts_told(text) is None
    assert len(before) <= reading.read < len(text)
    assert reading.facts == tuple(fact for facts in story.facts_of[:place] for fact in facts)


def test_the_wrong_object_is_a_wrong_fact(documents) -> None:
    """What a search for words cannot see: the lamp is told, but of somebody else."""
    text = '"May I borrow your bright lamp?" asked Paul Fields softly. Lucy Shaw gave it to him near the hay barn.'
    assert documents.facts_told(text) is None  # heroes borrow, friends lend
    text = (
        '"May I borrow your bright lamp?" asked Max North softly. Lucy Shaw gave it to him near the hay barn.'
    )
    assert documents.facts_told(text) == (
        ("Lucy", "owned", "bright lamp"),
        ("Max", "borrowed", "bright lamp"),
    )


def test_other_groups_are_read_too(documents) -> None:
    for kind in ("few sentences", "letter", "conversation"):
        changes = {} if kind == "letter" or kind == "conversation" else {"examples": {1: 1.0}}
        for document in documents.only(kind, **changes).sample(10, seed=61):
            text = document.target if document.prompt else document.text
            if "\n" not in text or kind != "few sentences":
                assert documents.facts_told(text) == document.facts


def test_the_most_probable_derivation_is_taken() -> None:
    """Where a text has several, by enumeration: the facts are those of one that no other exceeds."""
    world = StoryWorld(FILE)
    ways: dict[str, dict[tuple, float]] = defaultdict(lambda: defaultdict(float))
    lister = Documents(FILE.read_text())
    for name, plot in lister.spec["plots"].items():
        share = 2 / 3 if name == "lost" else 1.0
        for walk in lister._told(plot, None):
            facts = tuple(
                tuple(lister._filled(side.strip(), walk.bound) for side in fact.split("|"))
                for fact in walk.facts
            )
            ways[walk.text][facts] += share * walk.chance
    for text, facts in ways.items():
        told = world.facts_told(text)
        assert told in facts and facts[told] >= max(facts.values()) - 1e-12


@pytest.mark.parametrize("text", ["Once there was a zebra.", "zebra", "\n\n"])
def test_no_story(documents, text: str) -> None:
    reading = documents.reading(text)
    assert reading.facts == ()
    assert (documents.facts_told(text) is None) == bool(text.strip())
