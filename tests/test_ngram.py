"""The n-gram baseline: a distribution at every context, and the formula by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.evaluation.ngram import NGramModel


@settings(deadline=None, max_examples=60)
@given(
    tokens=st.lists(st.integers(0, 4), min_size=5, max_size=60),
    context=st.lists(st.integers(0, 4), max_size=6),
    n=st.integers(1, 5),
)
def test_probabilities_sum_to_one_after_any_context(tokens, context, n):
    model = NGramModel(tokens, vocab_size=5, n=n)
    assert math.isclose(sum(model.probability(token, context) for token in range(5)), 1, rel_tol=1e-9)


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


@pytest.mark.parametrize(("tokens", "n", "complaint"), [([0, 1], 5, "2 tokens"), ([0, 1], 0, "at least 1")])
def test_bad_input(tokens, n, complaint):
    with pytest.raises(ValueError, match=complaint):
        NGramModel(tokens, vocab_size=2, n=n)
