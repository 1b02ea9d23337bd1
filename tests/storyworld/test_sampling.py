"""Stories as drawn: reproducible, conditioned without rejection, and what they say of themselves is true."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from story_enumeration import Told

from minilm.storyworld import StoryWorld


def test_each_story_has_its_own_stream(mini: StoryWorld) -> None:
    assert mini.sample(10)[:5] == mini.sample(5)
    assert mini.sample(10, seed=7)[:5] == mini.sample(5, seed=7) != mini.sample(5, seed=8)
    assert mini.sample(10, seed=7, attribute=("ending", "sad"))[:5] == mini.sample(
        5, seed=7, attribute=("ending", "sad")
    )
    assert mini.sample(0) == []


@pytest.mark.parametrize(
    "attribute", [None, ("keyword", "however"), ("ending", "sad"), ("plot", "picnic"), ("hero", "Mina")]
)
def test_frequencies_are_the_exact_probabilities(mini, mini_stories: list[Told], attribute) -> None:
    """Pearson's chi-squared statistic over all texts lies within 4 standard deviations of its mean."""
    chance = Counter()
    for story in mini_stories:
        if story.has(attribute):
            chance[story.text] += story.chance
    total, n = sum(chance.values()), 10_000
    drawn = Counter(story.text for story in mini.sample(n, seed=11, attribute=attribute))
    assert drawn.keys() <= chance.keys()
    common = {text: n * p / total for text, p in chance.items() if n * p / total >= 5}
    rare = (n - sum(common.values()), n - sum(drawn[text] for text in common))
    cells = [(e, drawn[text]) for text, e in common.items()] + [rare] * (rare[0] > 5)
    statistic, freedom = sum((o - e) ** 2 / e for e, o in cells), len(cells) - 1
    assert abs(statistic - freedom) < 4 * math.sqrt(2 * freedom)


def test_attributes_are_those_of_the_text(mini, mini_stories) -> None:
    told = {story.text: story for story in mini_stories}
    for story in mini.sample(500, seed=2):
        true = told[story.text]
        assert set(story.attributes["keyword"]) == true.keywords
        assert (story.attributes["plot"], story.attributes["hero"]) == (true.plot, true.hero)
        assert story.attributes["ending"] == true.ending
        assert story.bindings["hero"] == true.hero


def test_log_probability_is_that_of_the_derivation(mini, mini_stories) -> None:
    derivations = Counter(story.text for story in mini_stories)
    chance = {story.text: story.chance for story in mini_stories if derivations[story.text] == 1}
    checked = [
        s
        for attribute in (None, ("ending", "sad"))
        for s in mini.sample(300, attribute=attribute)
        if s.text in chance
    ]
    assert len(checked) > 50
    for story in checked:
        assert math.isclose(story.log_probability, math.log(chance[story.text]), abs_tol=1e-9)


def test_passages_sentences_and_facts(mini) -> None:
    for story in mini.sample(300, seed=5):
        assert " ".join(story.passages) == " ".join(story.sentences) == story.text
        assert len(story.scenes) == len(story.passages)
        for sentence in story.sentences:
            assert sentence.count('"') % 2 == 0
            assert sentence.rstrip('"')[-1] in ".!?"
        if "loss" in story.scenes:
            assert (story.bindings["hero"], "lost", story.bindings["object"]) in story.facts


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        (("mood", "glad"), "unknown attribute 'mood'; known: kind, keyword, ending, plot, hero"),
        (
            ("keyword", "nevertheless"),
            "no story has keyword 'nevertheless'; known: however, because, suddenly",
        ),
        (("hero", "Zoe"), "no story has hero 'Zoe'; known: Mia, Mina, Tom"),
        ("happy", "an attribute is a pair"),
    ],
)
def test_unknown_attributes_list_the_known(mini, attribute, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mini.sample(1, attribute=attribute)


def test_negative_number_of_stories(mini) -> None:
    with pytest.raises(ValueError, match="n=-1"):
        mini.sample(-1)
