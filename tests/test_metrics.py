"""Perplexity against its definition, one token at a time."""

from __future__ import annotations

import math

import pytest
import torch
from core_models import SHAPE, make_model, make_tokens

from minilm import perplexity
from minilm.evaluation.perplexity import mean_loss
from minilm.objectives import IGNORE, Batch

WINDOW = SHAPE["context_length"]


@torch.no_grad()
def nats_by_hand(model, tokens: list[int]) -> tuple[float, list[int]]:
    """Sum of -log P(token | context) and the length of each context: the longest that overlapping windows give."""
    window = min(WINDOW, len(tokens) - 1)
    starts = list(range(0, len(tokens) - 1 - window, max(window // 2, 1))) + [len(tokens) - 1 - window]
    total, contexts = 0.0, []
    for place in range(1, len(tokens)):
        start = next(start for start in starts if start + window >= place)
        context = torch.tensor([tokens[start:place]])
        total -= model(context).logits[0, -1].double().log_softmax(-1)[tokens[place]].item()
        contexts.append(place - start)
    return total, contexts


@pytest.mark.parametrize("n_token", [2, 3, WINDOW, WINDOW + 1, WINDOW + 2, 3 * WINDOW, 100])
@pytest.mark.parametrize("batch_size", [1, 3, 16])
def test_perplexity_is_its_definition(n_token: int, batch_size: int) -> None:
    model, tokens = make_model(), make_tokens(n_token)
    total, contexts = nats_by_hand(model, tokens.tolist())
    result = perplexity(model, tokens, batch_size)
    assert result.n_token == n_token - 1
    assert result.nats_per_token == pytest.approx(total / (n_token - 1), abs=1e-5)
    assert result.value == pytest.approx(math.exp(total / (n_token - 1)), rel=1e-4)
    assert all(context >= WINDOW // 2 for context in contexts[WINDOW:])


def test_windows_of_one_token_see_one_token() -> None:
    model, tokens = make_model(context_length=1), make_tokens(9)
    with torch.no_grad():
        log_probs = model(tokens[:-1, None]).logits[:, 0].log_softmax(-1)
    expected = -log_probs.gather(1, tokens[1:, None]).mean().item()
    assert perplexity(model, tokens).nats_per_token == pytest.approx(expected, abs=1e-5)


def test_a_list_will_do_and_dropout_stays_out() -> None:
    model, tokens = make_model(dropout=0.5), make_tokens(30)
    expected = perplexity(model, tokens)
    assert perplexity(model.train(), tokens.tolist()) == expected
    assert model.training


def test_bits_per_byte_spread_the_whole_text_over_its_bytes() -> None:
    result = perplexity(make_model(), make_tokens(30))
    assert result.bits_per_byte(100) == pytest.approx(29 * math.log2(result.value) / 100)


@pytest.mark.parametrize("n_token", [0, 1])
def test_a_text_with_nothing_to_predict_is_refused(n_token: int) -> None:
    with pytest.raises(ValueError, match=f"text of {n_token} tokens"):
        perplexity(make_model(), make_tokens(n_token))


def test_mean_loss_weighs_every_target_alike() -> None:
    model = make_model()
    small, large = (
        Batch(make_tokens(1, 4), make_tokens(1, 4, seed=1)),
        Batch(make_tokens(5, 9), make_tokens(5, 9, seed=2)),
    )
    large.targets[2:] = IGNORE
    nothing = Batch(make_tokens(1, 3), torch.full((1, 3), IGNORE))
    with torch.no_grad():
        nats = [
            -model(b.tokens).logits.log_softmax(-1).gather(-1, b.targets.clamp(min=0)[..., None])[..., 0]
            for b in (small, large)
        ]
    expected = torch.cat([nats[0].flatten(), nats[1][:2].flatten()]).mean().item()
    assert mean_loss(model, [small, large, nothing]) == pytest.approx(expected, abs=1e-5)


def test_mean_loss_over_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no target"):
        mean_loss(make_model(), [])
