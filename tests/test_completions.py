"""Batches of prompts with targets."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.objectives import IGNORE, Completions

ids = st.lists(st.integers(1, 9), min_size=1, max_size=6)


@settings(deadline=None)
@given(examples=st.lists(st.tuples(ids, ids), min_size=1, max_size=7), size=st.integers(1, 4))
def test_every_target_token_is_asked_for_once_and_nothing_else(examples, size):
    maker = Completions(examples, batch_size=size, window=16)
    rows = [
        (tokens, targets)
        for batch in maker.in_order()
        for tokens, targets in zip(batch.tokens, batch.targets, strict=True)
    ]
    assert len(rows) == len(examples)
    for (tokens, targets), (prompt, target) in zip(rows, examples, strict=True):
        asked = targets != IGNORE
        assert targets[asked].tolist() == target
        text = [*prompt, *target]
        places = asked.nonzero()[:, 0].tolist()
        assert [text[place] for place in places] == tokens[
            asked
        ].tolist()  # each is asked of the token before it
        assert places[0] == len(prompt) - 1


def test_an_epoch_shows_every_example_once_and_depends_on_the_seed_alone():
    examples = [([number], [number]) for number in range(1, 9)]
    maker = Completions(examples, batch_size=4, window=4, seed=1)
    shown = [token for index in range(2) for token in maker.batch(index).tokens[:, 0].tolist()]
    assert sorted(shown) == list(range(1, 9))
    again = Completions(examples, batch_size=4, window=4, seed=1)
    assert torch.equal(again.batch(5).tokens, maker.batch(5).tokens)


def test_attributes_stay_with_their_examples():
    examples = [([number], [number]) for number in range(1, 9)]
    maker = Completions(examples, 3, window=4, attributes=[[10 * number] for number in range(1, 9)])
    batch = maker.batch(4)
    assert torch.equal(batch.attribute, 10 * batch.tokens[:, :1])


@pytest.mark.parametrize(
    ("examples", "complaint"),
    [
        ([], "no examples"),
        ([([1], [2]), ([], [2])], "example 1 has 0 prompt tokens and 1 target tokens"),
        ([([1], [])], "example 0 has 1 prompt tokens and 0 target tokens"),
        ([([1] * 4, [2] * 2)], r"example 0 has 4 \+ 2 tokens, more than a window of 4"),
    ],
)
def test_bad_examples(examples, complaint):
    with pytest.raises(ValueError, match=complaint):
        Completions(examples, batch_size=2, window=4)
