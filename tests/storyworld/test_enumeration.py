"""The oracle and the exact figures of a grammar against the enumeration of all stories."""

from __future__ import annotations

import math
from collections import defaultdict

import numpy as np
import pytest
from story_enumeration import PrefixTable, Told

from minilm import BPETokenizer
from minilm.storyworld import Oracle, StoryWorld

ATTRIBUTES = [
    None,
    ("keyword", "however"),
    ("keyword", "because"),
    ("keyword", "suddenly"),
    ("ending", "sad"),
    ("plot", "picnic"),
    ("hero", "Mina"),
    ("hero", "Tom"),
]


def assert_equal_rows(oracle: Oracle, table: PrefixTable, ids: list[int], attribute=None) -> None:
    """Every row of the oracle's table is that of the enumeration, zeros included."""
    ours = oracle.log_probs(ids, attribute).exp().numpy()  # (T + 1, vocab)
    for t, row in enumerate(ours):
        expected = np.zeros_like(row)
        for token, chance in table.row(tuple(ids[:t])).items():
            expected[token] = chance
        np.testing.assert_allclose(row, expected, rtol=0, atol=1e-9)


def test_enumeration_is_complete(mini: StoryWorld, mini_stories: list[Told]) -> None:
    assert math.isclose(sum(story.chance for story in mini_stories), 1.0, abs_tol=1e-12)
    drawn = {story.text for story in mini.sample(3000, seed=3)}
    assert drawn <= {story.text for story in mini_stories}


@pytest.mark.parametrize("attribute", ATTRIBUTES)
@pytest.mark.parametrize("vocab_size", [257, 300, 400])
def test_rows_equal_enumeration(mini, mini_stories, attribute, vocab_size) -> None:
    tokenizer = BPETokenizer.train([story.text for story in mini_stories[::7]], vocab_size=vocab_size)
    oracle, table = Oracle(mini, tokenizer), PrefixTable(mini_stories, tokenizer, attribute)
    for story in [story for story in mini_stories if story.has(attribute)][::97]:
        assert_equal_rows(oracle, table, tokenizer.encode(story.text), attribute)


def test_text_outside_the_world(mini, mini_stories, mini_tokenizer) -> None:
    oracle, table = Oracle(mini, mini_tokenizer), PrefixTable(mini_stories, mini_tokenizer)
    for text in ("Mia had a red kitten.", "Zoe", "Tom had some red kites. They", "Mia had  a red kite."):
        ids = mini_tokenizer.encode(text)
        assert_equal_rows(oracle, table, ids)
        expected = next((t for t, token in enumerate(ids) if token not in table.row(tuple(ids[:t]))), None)
        assert oracle.left_world(ids) == expected


def test_a_cut_that_the_tokenizer_does_not_make_has_no_probability(mini, mini_tokenizer) -> None:
    byte_by_byte = [mini_tokenizer.encode(letter)[0] for letter in "Mia"]
    assert byte_by_byte != mini_tokenizer.encode("Mia")
    assert Oracle(mini, mini_tokenizer).log_prob(byte_by_byte) == -math.inf


def test_posterior_is_bayes_rule(mini, mini_stories, mini_tokenizer) -> None:
    oracle, base = Oracle(mini, mini_tokenizer), PrefixTable(mini_stories, mini_tokenizer)
    for attribute in ATTRIBUTES[1:]:
        table = PrefixTable(mini_stories, mini_tokenizer, attribute)
        for story in mini_stories[::211]:
            ids = mini_tokenizer.encode(story.text)
            prefixes = [tuple(ids[:t]) for t in range(len(ids) + 1)]
            expected = [table.probability(p) * table.mass / base.probability(p) for p in prefixes]
            np.testing.assert_allclose(oracle.posterior(ids, attribute), expected, rtol=0, atol=1e-9)


def test_priors_equal_enumeration(mini, mini_stories) -> None:
    for name, values in mini.attributes().items():
        for value, prior in values.items():
            expected = sum(story.chance for story in mini_stories if story.has((name, value)))
            assert math.isclose(prior, expected, abs_tol=1e-12), (name, value)


def test_log_prob_of_whole_stories(mini, mini_stories, mini_tokenizer) -> None:
    oracle, chance = Oracle(mini, mini_tokenizer), defaultdict(float)
    for story in mini_stories:
        chance[story.text] += story.chance
    for text in list(chance)[::41]:
        assert math.isclose(oracle.log_prob(text), math.log(chance[text]), abs_tol=1e-9)


def test_entropy_rate_of_a_world_with_ambiguous_texts(mini, mini_stories, mini_tokenizer) -> None:
    chance = defaultdict(float)
    for story in mini_stories:
        chance[story.text] += story.chance
    bits = -sum(p * math.log2(p) for p in chance.values())
    tokens = sum(p * (len(mini_tokenizer.encode(text)) + 1) for text, p in chance.items())
    rate, error = Oracle(mini, mini_tokenizer).entropy_rate(n=2000, seed=4)
    assert 0 < error < 0.005 * rate
    assert abs(rate - bits / tokens) < 4 * error


def test_count_is_the_number_of_derivations(mini, mini_stories) -> None:
    # The enumeration lists an inner bracket's ways even where the outer leaves it out: such stories twice.
    twice = sum("loved to play" in story.text for story in mini_stories)
    assert mini.count_stories() == len(mini_stories) - twice // 2
