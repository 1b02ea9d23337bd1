"""The law against dead tokens: whatever a task's texts are made of, pretraining has met often.

A token that no document of pretraining has cannot be told from any other such token, and a method that leaves the
embeddings alone cannot change that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pytest

from minilm import BPETokenizer, datasets, load_pretrained
from minilm.adaptation.template import usual_template
from minilm.datasets.tasks import StoryDocuments
from minilm.pretraining.recipe import RECIPES
from minilm.storyworld import StoryWorld

LEAST = 200
"""Times that a token must occur in the text of pretraining."""
OFTEN = 0.01
"""Share of a task's examples that must use a token before the law holds for it."""
SAMPLE = 8_000
"""Documents counted; they stand for all those that the base reads."""


def rare_tokens(
    pairs: Iterable[tuple[str, str]], tokenizer: BPETokenizer, occurrences: Counter[int]
) -> dict[str, float]:
    """The tokens that break the law, each with how often pretraining is expected to have it."""
    texts = [set(tokenizer.encode(prompt)) | set(tokenizer.encode(target)) for prompt, target in pairs]
    used = Counter(token for tokens in texts for token in tokens)
    scale = RECIPES["bundled"].n_story / SAMPLE
    return {
        tokenizer.decode([token]): occurrences[token] * scale
        for token, count in used.items()
        if count > OFTEN * len(texts) and occurrences[token] * scale < LEAST
    }


@pytest.fixture(scope="module")
def texts(documents: StoryWorld) -> list[str]:
    return [document.text for document in documents.sample(SAMPLE, seed=0)]


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    """The one of the base that comes with the course."""
    return load_pretrained("storyworld")[1]


@pytest.fixture(scope="module")
def occurrences(texts: list[str], tokenizer: BPETokenizer) -> Counter[int]:
    return Counter(token for text in texts for token in tokenizer.encode(text))


HELD_OUT = [
    (kind.name, name)
    for kind in StoryWorld("documents").grammar.kinds.values()
    for name, notation in kind.notations.items()
    if notation.held_out
]


@pytest.mark.parametrize(("kind", "notation"), HELD_OUT)
def test_no_held_out_notation_has_a_dead_token(kind, notation, tokenizer, occurrences) -> None:
    examples = StoryDocuments(kind=kind, notation=notation).load("dev", 200)
    pairs = [(example.prompt, example.target) for example in examples]
    assert not rare_tokens(pairs, tokenizer, occurrences)


TASKS = [
    "storyworld-triples",
    "storyworld-keywords",
    "storyworld-questions",
    "storyworld-sentiment",
    "storyworld-entailment",
]


@pytest.mark.parametrize("name", TASKS)
def test_no_task_has_a_dead_token(name, tokenizer, occurrences) -> None:
    """In the marks that `tune` puts around its records."""
    records = datasets.load(name, "dev", n=200)
    template = usual_template(records[0])
    pairs = [(template.prompt(record), template.target(record)) for record in records]
    assert not rare_tokens(pairs, tokenizer, occurrences)


def test_the_law_sees_a_dead_token(tokenizer, occurrences) -> None:
    pairs = [("Tom ~ owned ~ lamp ^", " One day, Tom ran.")]
    assert set(rare_tokens(pairs, tokenizer, occurrences)) >= {" ~", " ^"} or "~" in str(
        rare_tokens(pairs, tokenizer, occurrences)
    )


def test_held_out_means_held_out(documents: StoryWorld, texts: list[str]) -> None:
    """No document of pretraining is written in a held-out notation."""
    for kind, notation in HELD_OUT:
        assert documents.grammar.kinds[kind].notations[notation].weight == 0
    assert not any(" | " in text and " : " in text for text in texts if "\n" not in text)
