"""The n-gram baseline: a distribution at every context, and the formula by hand."""

from __future__ import annotations

import math
import random
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.evaluation.ngram import NGramModel
from minilm.text.excerpts import spread


@settings(deadline=None, max_examples=60)
@given(
    tokens=st.lists(st.integers(0, 4), min_size=5, max_size=60),
    context=st.lists(st.integers(0, 4), max_size=6),
    n=st.integers(1, 5),
)
def test_probabilities_sum_to_one_after_any_context(tokens, context, n):
    model = NGramModel(tokens, vocab_size=5, n=n)
    assert math.isclose(sum(model.probability(token, context) for token in range(5)), 1, rel_tol=1e-9)


def by_definition(tokens: list[int], vocab_size: int, n: int, token: int, context: list[int]) -> float:
    """The header's formula, with counts in dictionaries of tuples."""
    counts = Counter(tuple(tokens[at : at + n]) for at in range(len(tokens) - n + 1))
    orders = [counts]
    for _ in range(n - 1):
        orders.append(Counter(gram[1:] for gram in orders[-1]))
    probability, context = 1 / vocab_size, tuple(context)
    for length, order in enumerate(orders[::-1]):
        history = context[len(context) - length :]
        after = {gram: count for gram, count in order.items() if gram[:-1] == history}
        if length > len(context) or not after:
            break
        once, twice = (sum(count == times for count in order.values()) for times in (1, 2))
        discount = once / (once + 2 * twice) if once and twice else 0.75
        kept = max(order[(*history, token)] - discount, 0.0)
        probability = (kept + discount * len(after) * probability) / sum(after.values())
    return probability


@settings(deadline=None, max_examples=150)
@given(
    tokens=st.lists(st.integers(0, 3), min_size=6, max_size=60),
    context=st.lists(st.integers(-1, 5), max_size=7),
    token=st.integers(0, 4),
    n=st.integers(1, 6),
)
def test_probabilities_are_those_of_the_definition(tokens, context, token, n):
    model = NGramModel(tokens, vocab_size=5, n=n)
    expected = by_definition(tokens, 5, n, token, context)
    assert math.isclose(model.probability(token, context), expected, rel_tol=1e-12)
    given = model.probabilities([*context, token])
    assert given.shape == (len(context) + 1,)
    assert math.isclose(given[-1], expected, rel_tol=1e-12)


def test_of_a_long_text_evenly_spaced_parts_are_counted():
    text = random.Random(0).choices(range(9), k=5000)
    parts = np.concatenate([text[run.start : run.stop] for run in spread(5000, 640)])
    assert len(parts) == 640
    bounded, of_parts = NGramModel(text, 9, most=640), NGramModel(parts, 9)
    assert bounded.log_prob(text[:200]) == of_parts.log_prob(text[:200])
    assert bounded.log_prob(text[:200]) != NGramModel(text, 9).log_prob(text[:200])


def test_kneser_ney_by_hand():
    # Text 0 1 0 1 2 as bigrams: 01 twice, 10 once, 12 once. Discount: n1 = 2, n2 = 1, D = 2 / (2 + 2).
    # Continuations: 0 follows {1}, 1 follows {0}, 2 follows {1}: one context each, no count of 2, so D = 3/4.
    model = NGramModel([0, 1, 0, 1, 2], vocab_size=3, n=2)
    unigram = (1 - 0.75) / 3 + 0.75 * 3 / 3 * (1 / 3)
    assert math.isclose(model.probability(2, [1]), (1 - 0.5) / 2 + 0.5 * 2 / 2 * unigram)
    assert math.isclose(model.probability(2, [0]), 0 + 0.5 * 1 / 2 * unigram)


def test_log_prob_is_the_sum_over_tokens():
    model = NGramModel([0, 1, 0, 1, 2, 0, 0], vocab_size=3, n=3)
    text = [1, 0, 1]
    by_hand = sum(math.log(model.probability(token, text[:place])) for place, token in enumerate(text))
    assert math.isclose(model.log_prob(text), by_hand)


def test_what_came_before_is_expected_again():
    model = NGramModel([0, 1, 2, 3] * 10, vocab_size=4)
    assert model.probability(3, [3, 0, 1, 2]) > 0.8


@pytest.mark.parametrize(
    ("tokens", "n", "complaint"),
    [
        ([0, 1], 5, "2 tokens"),
        ([0, 1], 0, "at least 1"),
        ([0, 2], 1, r"token id 2 is outside the vocabulary 0 \.\. 1"),
        ([-1, 0], 1, "token id -1"),
    ],
)
def test_bad_input(tokens, n, complaint):
    with pytest.raises(ValueError, match=complaint):
        NGramModel(tokens, vocab_size=2, n=n)
