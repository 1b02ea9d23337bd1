"""PPLM against a step written out in float64, and against the plain model where it must not differ."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from minilm import generate
from minilm.steering.pplm import PPLM, read

BAG = (7, 21)


def written_out(base, keys: Tensor, values: Tensor, last: int, bag: tuple[int, ...]) -> Tensor:
    """log P(. | the last token, after given keys and values) of one text, layer by layer: (vocab,)."""
    position = keys.size(-2)
    x = base.token_embedding.weight[last] + base.position_embedding.weight[position]  # (d,)
    for layer, block in enumerate(base.blocks):
        inner = F.layer_norm(x, x.shape, block.attention_norm.weight, block.attention_norm.bias)
        attention, heads = block.attention, []
        query, key, value = (
            getattr(attention, name)(inner).view(base.config.n_head, -1) for name in ("query", "key", "value")
        )
        for head in range(base.config.n_head):
            all_keys = torch.cat([keys[layer, 0, head], key[head][None]])  # (S + 1, p)
            all_values = torch.cat([values[layer, 0, head], value[head][None]])
            weights = (all_keys @ query[head] / query.size(-1) ** 0.5).softmax(0)
            heads.append(weights @ all_values)
        x = x + attention.output(torch.cat(heads))
        inner = F.layer_norm(x, x.shape, block.mlp_norm.weight, block.mlp_norm.bias)
        x = x + block.mlp.down(F.gelu(block.mlp.up(inner), approximate="tanh"))
    final = F.layer_norm(x, x.shape, base.final_norm.weight, base.final_norm.bias)
    return (base.token_embedding.weight @ final).log_softmax(-1)


def test_a_gradient_step_is_the_formula(base, tokens):
    base = base.to(torch.float64)
    _, past = read(base, tokens[:, :-1], 1)
    last = tokens[:, -1:]
    with torch.no_grad():
        untouched = base(tokens).logits[:, -1].log_softmax(-1)
    moved = PPLM(kl_scale=0.3).move(base, past, last, untouched, torch.tensor(BAG))
    for row in range(2):
        keys, values = (
            each[:, row : row + 1].detach().clone().requires_grad_() for each in (past.keys, past.values)
        )
        p = written_out(base, keys, values, int(last[row]), BAG).exp()
        loss = -(p[7] + p[21]).log() + 0.3 * (p * (p.log() - untouched[row])).sum()
        own = torch.autograd.grad(loss, (keys, values))
        for layer in range(2):
            norm = torch.cat([g[layer].flatten() for g in own]).norm()
            for before, g, after in zip((keys, values), own, (moved.keys, moved.values), strict=True):
                expected = before[layer, 0] - 0.02 * g[layer, 0] / norm**1.5
                assert (after[layer, row] - expected).abs().max() <= 1e-10
                assert g[layer].abs().max() > 1e-6


@pytest.mark.parametrize("settings", [PPLM(steps=0), PPLM(step_size=0.0), PPLM(fusion=0.0)])
def test_without_a_push_it_is_the_model_itself(base, tokens, settings):
    ours = settings.generate(base, tokens, BAG, 10, seed=3)
    assert torch.equal(ours, generate(base, tokens, 10, top_k=10, seed=3))


def test_words_of_the_bag_become_likelier_and_the_base_stays(base, tokens):
    before = [weight.clone() for weight in base.parameters()]
    with torch.no_grad():
        untouched = base(tokens).logits[:, -1].log_softmax(-1)
    _, past = read(base, tokens[:, :-1], 1)
    settings = PPLM(step_size=0.1)
    moved, grown = settings.step(base, past, tokens[:, -1:], untouched, torch.tensor(BAG))
    assert (moved[:, BAG].logsumexp(-1) > untouched[:, BAG].logsumexp(-1)).all()
    assert grown.length == tokens.size(1)
    written = settings.generate(base, tokens[:, :1], BAG, 20, seed=0)
    plain = generate(base, tokens[:, :1], 20, top_k=10, seed=0)
    assert torch.isin(written, torch.tensor(BAG)).sum() > torch.isin(plain, torch.tensor(BAG)).sum()
    assert all(map(torch.equal, before, base.parameters()))


def test_a_row_that_has_stopped_stays_so(base, tokens):
    free = PPLM().generate(base, tokens[:, :3], BAG, 12, seed=1)
    stop = int(free[0, 6])
    text = PPLM().generate(base, tokens[:, :3], BAG, 12, seed=1, stop_token=stop)
    first = free[0, 3:].tolist().index(stop) + 3
    assert torch.equal(text[0, : first + 1], free[0, : first + 1])
    assert (text[0, first:] == stop).all()


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda base, tokens: PPLM().generate(base, tokens, (), 3), "the bag of words is empty"),
        (lambda base, tokens: PPLM().generate(base, tokens, (40,), 3), "token id 40 is outside"),
        (lambda base, tokens: PPLM().generate(base, tokens, BAG, 17), "fit into a window of 24"),
        (lambda base, tokens: PPLM().generate(base, tokens, BAG, 0), "at least one new token"),
        (lambda base, tokens: PPLM(steps=-1), "steps must be a whole number of at least 0, not -1"),
        (lambda base, tokens: PPLM(fusion=1.5), "fusion must be a number from 0 to 1, not 1.5"),
        (lambda base, tokens: PPLM(top_k=0), "top_k must be a whole number of at least 1"),
    ],
)
def test_bad_input_is_one_clear_error(base, tokens, call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call(base, tokens)
