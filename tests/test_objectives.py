"""Batches are windows of the text and functions of their index alone; the loss is the mean over what counts."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
import torch.nn.functional as F
from core_models import SHAPE, make_model, make_tokens
from hypothesis import given, settings
from hypothesis import strategies as st

from minilm.objectives import IGNORE, Batch, Documents, NextToken, next_token_loss


def test_windows_are_pieces_of_the_text_and_targets_are_the_tokens_after() -> None:
    text = torch.arange(1000, 1100)
    batch = NextToken(text, context_length=8, batch_size=64, seed=3).batch(5)
    assert torch.equal(batch.tokens[:, 1:] - batch.tokens[:, :1], torch.arange(1, 8).expand(64, -1))
    assert torch.equal(batch.targets, batch.tokens + 1)
    assert batch.attribute is None


def test_every_place_is_reached_the_first_and_the_last_too() -> None:
    maker = NextToken(torch.arange(12), context_length=9, batch_size=50)
    starts = set(maker.batch(0).tokens[:, 0].tolist())
    assert starts == {0, 1, 2}
    exact = NextToken(torch.arange(10), context_length=9, batch_size=2).batch(0)
    assert exact.targets[:, -1].tolist() == [9, 9]


@pytest.mark.parametrize(
    "maker",
    [
        lambda seed: NextToken(torch.arange(500), 7, 6, seed),
        lambda seed: Documents([[n] * (n % 5) for n in range(40)], 99, 7, 6, seed),
    ],
)
def test_a_batch_depends_on_index_and_seed_alone(maker) -> None:
    one, other = maker(0), maker(0)
    late = other.batch(30)  # asked for first, and out of order
    for index in (0, 30, 3, 30):
        assert torch.equal(one.batch(index).tokens, maker(0).batch(index).tokens)
    assert torch.equal(one.batch(30).tokens, late.tokens)
    assert not torch.equal(one.batch(0).tokens, one.batch(1).tokens)
    assert not torch.equal(one.batch(0).tokens, maker(1).batch(0).tokens)


@pytest.mark.parametrize("n_token", [0, 1, 5])
def test_a_text_shorter_than_a_window_is_refused(n_token: int) -> None:
    with pytest.raises(ValueError, match=rf"text of {n_token} tokens .* windows of 5 .* takes 6"):
        NextToken(list(range(n_token)), context_length=5, batch_size=1)


documents = st.lists(st.lists(st.integers(0, 9), max_size=6), min_size=1, max_size=7)


@settings(deadline=None)
@given(documents, st.integers(1, 12), st.integers(1, 5), st.integers(0, 50))
def test_every_epoch_starts_each_document_once_and_reads_on_into_the_next(
    texts: list[list[int]], context_length: int, batch_size: int, seed: int
) -> None:
    separator = 10
    maker = Documents(texts, separator, context_length, batch_size, seed)
    joined = [token for text in texts for token in (separator, *text)]
    endless = joined * (2 + (context_length + 1) // len(joined))
    starts = [sum(len(text) + 1 for text in texts[:n]) for n in range(len(texts))]
    windows = Counter(tuple(endless[start : start + context_length + 1]) for start in starts)
    rows = []
    for index in range(2 * len(texts)):  # enough for two epochs, whatever the batch size
        batch = maker.batch(index)
        assert torch.equal(batch.tokens[:, 1:], batch.targets[:, :-1])
        rows += torch.cat([batch.tokens, batch.targets[:, -1:]], dim=1).tolist()
    for epoch in range(2):
        seen = rows[epoch * len(texts) : (epoch + 1) * len(texts)]
        assert Counter(map(tuple, seen)) == windows


def test_epochs_have_orders_of_their_own() -> None:
    maker = Documents([[n] for n in range(30)], 99, 1, 30)
    orders = [maker.batch(epoch).targets[:, 0].tolist() for epoch in range(3)]
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(30))
    assert orders[0] != orders[1] != orders[2]


def test_no_documents_are_refused() -> None:
    with pytest.raises(ValueError, match="no documents"):
        Documents([], 0, 4, 2)


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_the_loss_is_the_mean_over_the_targets_that_count(label_smoothing: float) -> None:
    model, tokens = make_model(), make_tokens(3, 8)
    targets = make_tokens(3, 8, seed=1)
    targets[0, :5] = targets[2] = IGNORE
    loss = next_token_loss(model, Batch(tokens, targets), label_smoothing)
    log_probs = model(tokens).logits.log_softmax(-1)
    smooth = torch.full_like(log_probs, label_smoothing / SHAPE["vocab_size"])
    smooth.scatter_add_(-1, targets.clamp(min=0)[..., None], torch.full((3, 8, 1), 1 - label_smoothing))
    expected = -(smooth * log_probs).sum(-1)[targets != IGNORE].mean()
    torch.testing.assert_close(loss, expected)


def test_a_batch_that_asks_for_nothing_costs_nothing() -> None:
    model = make_model()
    loss = next_token_loss(model, Batch(make_tokens(1, 4), torch.full((1, 4), IGNORE)))
    loss.backward()
    assert loss.item() == 0
    assert not model.token_embedding.weight.grad.any()


def test_the_attribute_reaches_the_model() -> None:
    attribute, seen = make_tokens(2, 3), []

    def model(tokens, attribute=None):
        seen.append(attribute)
        return type("Output", (), {"logits": F.one_hot(tokens, 61).float()})

    next_token_loss(model, Batch(make_tokens(2, 4), make_tokens(2, 4), attribute).to("cpu"))
    assert torch.equal(seen[0], attribute)
