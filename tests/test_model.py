"""The model against a plain float64 evaluation of the same equations, and what it must never do."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from core_models import SHAPE, make_model, make_tokens

from minilm import MiniLM, ModelConfig
from minilm.model import evaluating


def gpt2_by_hand(weights: dict[str, np.ndarray], config: ModelConfig, tokens: list[int]) -> np.ndarray:
    """GPT-2 in float64, one token and one head at a time, in the order of the formulas: logits (T, vocab)."""

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]

    def norm(name: str, x: np.ndarray) -> np.ndarray:
        centred = x - x.mean()
        scaled = centred / np.sqrt((centred**2).mean() + config.layer_norm_epsilon)
        return weights[f"{name}.weight"] * scaled + weights[f"{name}.bias"]

    def gelu(x: np.ndarray) -> np.ndarray:
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    def attention(name: str, rows: list[np.ndarray]) -> list[np.ndarray]:
        p, outputs = config.head_size, []
        queries, keys, values = (
            [linear(f"{name}.{kind}", x) for x in rows] for kind in ("query", "key", "value")
        )
        for t, query in enumerate(queries):
            heads = []
            for head in range(config.n_head):
                part = slice(head * p, (head + 1) * p)
                kernel = np.array([math.exp(query[part] @ key[part] / math.sqrt(p)) for key in keys[: t + 1]])
                heads.append(sum(k * v[part] for k, v in zip(kernel, values, strict=False)) / kernel.sum())
            outputs.append(linear(f"{name}.output", np.concatenate(heads)))
        return outputs

    embedding = weights["token_embedding.weight"]
    rows = [embedding[token] + weights["position_embedding.weight"][t] for t, token in enumerate(tokens)]
    for layer in range(config.n_layer):
        block = f"blocks.{layer}"
        gathered = attention(f"{block}.attention", [norm(f"{block}.attention_norm", x) for x in rows])
        rows = [x + y for x, y in zip(rows, gathered, strict=True)]
        hidden = [gelu(linear(f"{block}.mlp.up", norm(f"{block}.mlp_norm", x))) for x in rows]
        rows = [x + linear(f"{block}.mlp.down", h) for x, h in zip(rows, hidden, strict=True)]
    return np.array([embedding @ norm("final_norm", x) for x in rows])


def test_logits_are_those_of_the_formulas_evaluated_in_float64() -> None:
    model, tokens = make_model(), make_tokens(2, 11)
    weights = {name: tensor.double().numpy() for name, tensor in model.state_dict().items()}
    by_hand = np.array([gpt2_by_hand(weights, model.config, row) for row in tokens.tolist()])
    with torch.no_grad():
        exact = model.double()(tokens).logits.numpy()
        single = model.float()(tokens).logits.numpy()
    assert np.abs(exact - by_hand).max() < 1e-11 * np.abs(by_hand).max()
    assert np.abs(single - by_hand).max() < 1e-5 * np.abs(by_hand).max()
    assert by_hand.std() > 1  # weights that small would hide a mistake


@pytest.mark.parametrize("changed", [0, 4, 9])
def test_a_token_changes_nothing_before_it_and_something_from_it_on(changed: int) -> None:
    model, tokens = make_model(), make_tokens(1, 10)
    other = tokens.clone()
    other[0, changed] = (tokens[0, changed] + 1) % SHAPE["vocab_size"]
    with torch.no_grad():
        before, after = model(tokens).logits[0], model(other).logits[0]
    differs = (before - after).abs().amax(dim=-1) > 1e-6
    assert differs.tolist() == [False] * changed + [True] * (10 - changed)


def test_rows_of_a_batch_do_not_touch_each_other() -> None:
    model, tokens = make_model(), make_tokens(3, 7)
    with torch.no_grad():
        together = model(tokens).logits
        alone = torch.cat([model(row[None]).logits for row in tokens])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_states_are_the_residual_stream_from_embedding_to_last_block() -> None:
    model, tokens = make_model(), make_tokens(2, 5)
    with torch.no_grad():
        output = model(tokens)
        embedded = model.token_embedding(tokens) + model.position_embedding(torch.arange(5))
        torch.testing.assert_close(model.predict(output.hidden), output.logits)
    assert len(output.states) == SHAPE["n_layer"] + 1
    assert torch.equal(output.states[0], embedded)


def test_gpt2_small_has_its_published_number_of_parameters() -> None:
    with torch.device("meta"):
        model = MiniLM(ModelConfig.preset("gpt2"))
    assert sum(parameter.numel() for parameter in model.parameters()) == 124_439_808


def test_initial_weights_have_gpt2s_scales() -> None:
    model = MiniLM(ModelConfig(vocab_size=500, n_layer=8, n_head=4, d_model=128))
    block = model.blocks[3]
    for linear in (block.attention.query, block.mlp.up, model.token_embedding):
        assert linear.weight.std().item() == pytest.approx(0.02, rel=0.05)
    for linear in (block.attention.output, block.mlp.down):
        assert linear.weight.std().item() == pytest.approx(0.02 / 4, rel=0.05)  # sqrt(2 * 8 layers) = 4
        assert not linear.bias.any()
    loss = -model(make_tokens(4, 64, vocab_size=500)).logits.log_softmax(-1).mean().item()
    assert loss == pytest.approx(math.log(500), rel=0.02)  # it begins by expecting every token alike


def test_every_parameter_receives_a_gradient_but_the_bias_of_keys() -> None:
    """Softmax does not see what is added to all keys alike, so q b / sqrt(p) shifts a row of scores and cancels."""
    model = make_model()
    model(make_tokens(2, SHAPE["context_length"])).logits.log_softmax(-1)[..., 0].sum().backward()
    norms = {name: parameter.grad.norm().item() for name, parameter in model.named_parameters()}
    silent = [name for name, norm in norms.items() if norm < 1e-4 * max(norms.values())]
    assert silent == [f"blocks.{layer}.attention.key.bias" for layer in range(SHAPE["n_layer"])]


def test_dropout_acts_in_training_only() -> None:
    model, tokens = make_model(dropout=0.3), make_tokens(1, 8)
    assert torch.equal(model(tokens).logits, model(tokens).logits)
    model.train()
    assert not torch.equal(model(tokens).logits, model(tokens).logits)
    with evaluating(model):
        assert torch.equal(model(tokens).logits, model(tokens).logits)
    assert model.training
    with pytest.raises(RuntimeError, match="inside"), evaluating(model):
        raise RuntimeError("inside")
    assert model.training


def test_explicit_attention_gives_the_same_logits() -> None:
    model, tokens = make_model(), make_tokens(2, 20)
    with torch.no_grad():
        fused = model(tokens).logits
        model.explicit_attention = True
        explicit = model(tokens).logits
    torch.testing.assert_close(explicit, fused, rtol=0, atol=1e-5)


@pytest.mark.parametrize("wrong", [-1, 61, 10_000])
def test_an_id_outside_the_vocabulary_is_named(wrong: int) -> None:
    tokens = make_tokens(2, 6)
    tokens[1, 3] = wrong
    with pytest.raises(ValueError, match=rf"token id {wrong} is outside the vocabulary 0 \.\. 60"):
        make_model()(tokens)


@pytest.mark.parametrize("shape", [(5,), (2, 0), (0, 3), (1, 2, 3)])
def test_tokens_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="non-empty"):
        make_model()(torch.zeros(shape, dtype=torch.int64))


def test_tokens_of_another_type_are_refused() -> None:
    with pytest.raises(ValueError, match=r"int64, not torch.float32"):
        make_model()(torch.zeros(1, 3))


def test_more_tokens_than_the_context_are_refused() -> None:
    with pytest.raises(ValueError, match=r"25 positions .* context of 24"):
        make_model()(make_tokens(1, 25))


def test_a_cache_does_not_reach_beyond_the_context_either() -> None:
    model = make_model()
    cache = model.new_cache(1)
    model(make_tokens(1, 20), cache=cache)
    with pytest.raises(ValueError, match=r"25 positions"):
        model(make_tokens(1, 5), cache=cache)
