"""What holds for every task made from the story world: reproducible, in splits that share nothing, with named dials."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import fields

import pytest

from minilm import datasets
from minilm.datasets import tasks
from minilm.datasets.tasks import TASKS, split_of, task
from minilm.storyworld import StoryWorld

N = 60
HARDER = {
    "storyworld": {},
    "storyworld-keywords": {"count": 2},
    "storyworld-triples": {"facts": 7},
    "storyworld-questions": {"stories": 3, "history": 0},
    "storyworld-sentiment": {"sentences": 2},
    "storyworld-documents": {"kind": "questions", "notation": "letters"},
    "storyworld-entailment": {"passages": 3},
}
"""For each task another setting of its dials, to hold against the default one."""


def whole(example) -> str:
    """An example as one text."""
    return example if isinstance(example, str) else f"{example.prompt} => {example.target}"


def own_text(name: str, example) -> str:
    """The text that no other split may have."""
    stories = {"storyworld": str, "storyworld-keywords": lambda e: e.text}
    read = (
        stories | {"storyworld-questions": lambda e: e.document} | {"storyworld-sentiment": lambda e: e.text}
    )
    return (read | {"storyworld-entailment": lambda e: e.premise}).get(name, lambda e: e.prompt)(example)


@pytest.mark.parametrize("name", TASKS)
def test_the_same_seed_gives_the_same_and_fewer_are_the_first(name):
    many = datasets.load(name, split="dev", n=N)
    assert len(many) == N
    assert datasets.load(name, split="dev", n=N) == many
    assert datasets.load(name, split="dev", n=7) == many[:7]
    other = datasets.load(name, split="dev", n=N, seed=1)
    assert len(set(map(whole, other)) & set(map(whole, many))) < N / 10


@pytest.mark.parametrize("name", TASKS)
def test_splits_share_no_text_whatever_the_seed_and_the_dials(name):
    settings = [{}, {"seed": 1}, HARDER[name]]
    texts = {
        split: {
            own_text(name, e) for dials in settings for e in datasets.load(name, split=split, n=N, **dials)
        }
        for split in ("train", "dev", "test")
    }
    assert all(len(found) > N / 2 for found in texts.values())
    assert not texts["train"] & texts["dev"]
    assert not texts["train"] & texts["test"]
    assert not texts["dev"] & texts["test"]
    if name != "storyworld-questions":
        assert all(split_of(text) == split for split, found in texts.items() for text in found)


def test_no_document_holds_a_story_of_another_split():
    for split in ("train", "dev", "test"):
        for question in datasets.load("storyworld-questions", split=split, n=N, stories=3):
            assert {split_of(story) for story in question.document.split("\n")} == {split}


@pytest.mark.parametrize("name", TASKS)
def test_no_example_comes_twice(name):
    examples = datasets.load(name, split="train", n=400)
    assert len(set(examples)) == 400


def test_a_split_is_a_share_of_the_stories_and_unbiased():
    world = tasks.task.the_world().only("story")
    texts = datasets.load("storyworld", split="dev", n=1500)
    for word, chance in world.attributes()["keyword"].items():
        found = sum(bool(re.search(rf"\b{word}\b", text, re.IGNORECASE)) for text in texts)
        assert abs(found / 1500 - chance) < 4 * math.sqrt(chance * (1 - chance) / 1500)
    shares = Counter(split_of(story.text) for story in world.sample(2000, seed=5))
    for split, share in task.SHARES.items():
        assert abs(shares[split] / 2000 - share) < 4 * math.sqrt(share * (1 - share) / 2000)


@pytest.mark.parametrize("name", TASKS)
def test_the_card_names_the_dials(name):
    card = datasets.card(name)
    assert list(card.dials) == [field.name for field in fields(TASKS[name])]
    assert card.record in (type(datasets.load(name, n=1)[0]).__name__,)
    assert "generated when loaded" in str(card)
    for split, words in card.splits.items():
        assert f"{TASKS[name].sizes[split]:,} by default" in words


def test_every_task_is_on_the_shelf():
    generated = [name for name in datasets.names() if not datasets.card(name).files]
    assert generated == list(TASKS)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("storyworld", {"split": "all"}, "storyworld has no split 'all'; choose from train, dev, test"),
        ("storyworld", {"stories": 2}, "storyworld has no option stories; it takes seed, world"),
        ("storyworld-keywords", {"count": 0}, "count must be a whole number, 1 or more, got 0"),
        ("storyworld-keywords", {"keywords": ("xyz",)}, "keywords must be some of although"),
        ("storyworld-keywords", {"keywords": "because"}, "as a tuple, got 'because'"),
        ("storyworld-triples", {"facts": 1.5}, "facts must be a whole number, 1 or more, got 1.5"),
        ("storyworld-triples", {"unseen": ("cooking",)}, "unseen must be a tuple of some, not all, of lost"),
        ("storyworld-questions", {"stories": 0}, "stories must be a whole number, 1 or more, got 0"),
        ("storyworld-questions", {"history": -1}, "history must be a whole number, 0 or more, got -1"),
        ("storyworld-sentiment", {"sentences": 0}, "sentences must be a whole number, 1 or more, got 0"),
        ("storyworld-entailment", {"passages": True}, "passages must be a whole number"),
    ],
)
def test_a_wrong_dial_is_named_with_its_value(name, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        datasets.load(name, **arguments)


SMALL = """
keywords: [because]
agreement: {she: {he: she, his: her}}
slots:
  hero: [{text: Mia, agreement: she}, {text: Ada, agreement: she}, {text: Eva, agreement: she}]
  place: [mill, park, lake, barn]
plots:
  walk:
    scenes:
      only:
        ending: happy
        templates:
          - {text: "{Hero} went to the {place} because {hero.he} liked it.", facts: ["{hero} | went to | {place}"]}
"""


def test_a_world_with_too_few_examples_says_so(monkeypatch):
    monkeypatch.setattr(task, "PATIENCE", 300)
    world = StoryWorld.from_text(SMALL)
    counts = {split: len({e for e in some(world, split)}) for split in ("train", "dev", "test")}
    assert sum(counts.values()) == 12
    with pytest.raises(ValueError, match=r"Stories found nothing new in 300 .* ask for fewer \(n=\)"):
        datasets.load("storyworld", split="train", n=13, world=world)
    lonely = StoryWorld.from_text(
        SMALL.replace(", park, lake, barn", "").replace("Ada", "Mia A").replace("Eva", "Mia E")
    )
    with pytest.raises(ValueError, match="none of 256 stories fell into|found nothing new"):
        [datasets.load("storyworld", split=split, n=4, world=lonely) for split in ("train", "dev", "test")]


def some(world: StoryWorld, split: str) -> list[str]:
    """All stories of a small world that belong to a split."""
    return [story.text for story in world.sample(500, seed=3) if split_of(story.text) == split]


def test_a_world_without_the_endings_has_no_sentiment():
    with pytest.raises(ValueError, match="needs stories with the endings sad and happy; there are: happy"):
        datasets.load("storyworld-sentiment", world=StoryWorld.from_text(SMALL))
    with pytest.raises(ValueError, match="unseen must be a tuple of some, not all, of walk, got None"):
        datasets.load("storyworld-triples", world=StoryWorld.from_text(SMALL))
