"""Visibility in forward passes: one law for all of them, encoders beside torch's own attention, caches and virtual tokens."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from core_models import SHAPE, make_model, make_tokens
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minilm import MiniLM, trace, tuning
from minilm.model.attention import attend
from minilm.model.sites import Memory, Sites
from minilm.model.visibility import (
    CAUSAL,
    FULL,
    REVERSED,
    Visibility,
    each_row,
    permuted,
    prefix,
    within,
)
from minilm.tuning.mixed_batch import MixedBatch

T, ROWS, LAYERS = 7, 2, SHAPE["n_layer"]


def drawn(name: str, seed: int) -> Visibility:
    """A visibility of this kind for a batch of `ROWS` texts of `T` tokens."""
    generator = torch.Generator().manual_seed(seed)
    order, n = torch.randperm(T, generator=generator), int(torch.randint(T + 1, (), generator=generator))
    pairs = torch.rand(T, T, generator=generator) < 0.5
    documents = torch.randint(3, (ROWS, T), generator=generator)
    return {
        "causal": CAUSAL,
        "full": FULL,
        "reversed": REVERSED,
        "prefix": prefix(n),
        "content stream": permuted(order, sees_itself=True),
        "query stream": permuted(order, sees_itself=False),
        "documents": within(documents, FULL if seed % 2 else CAUSAL),
        "any pairs": Visibility("any pairs", lambda query, key: pairs[query, key]),
        "rows": each_row([prefix(n), permuted(order, sees_itself=True)]),
    }[name]


KINDS = st.sampled_from(
    [
        "causal",
        "full",
        "reversed",
        "prefix",
        "content stream",
        "query stream",
        "documents",
        "any pairs",
        "rows",
    ]
)
SEEDS, FEW = st.integers(0, 9999), st.integers(0, 3)


def as_rows(mask: Tensor) -> Tensor:
    """(T, S) or (B, 1, T, S) as (B, T, S)."""
    return mask[:, 0] if mask.dim() == 4 else mask.expand(ROWS, -1, -1)


@settings(deadline=None, max_examples=80)
@given(KINDS, SEEDS, st.integers(1, T), FEW, st.booleans(), st.booleans())
def test_no_gradient_reaches_a_key_that_a_query_may_not_see(
    kind: str, seed: int, n_query: int, n_slot: int, some_lack_slots: bool, explicit: bool
) -> None:
    """The newest queries of a text over all its keys, behind slots: what is hidden has no influence, what is seen has some."""
    generator = torch.Generator().manual_seed(seed)
    query, keys, values = (
        torch.randn(ROWS, 2, n, 4, generator=generator, dtype=torch.float64, requires_grad=True)
        for n in (n_query, n_slot + T, n_slot + T)
    )
    slots = torch.rand(ROWS, n_slot, generator=generator) < 0.5 if some_lack_slots and n_slot else None
    visible = drawn(kind, seed).over(n_slot, slots)
    seen = as_rows(visible.mask(n_query, n_slot + T))
    text = as_rows(drawn(kind, seed).mask(n_query, T))
    assert torch.equal(seen[..., n_slot:], text)
    assert torch.equal(
        seen[..., :n_slot],
        torch.ones_like(seen[..., :n_slot])
        if slots is None
        else slots[:, None].expand_as(seen[..., :n_slot]),
    )
    output = attend(query, keys, values, visible, explicit=explicit).output
    assert output.isfinite().all()
    for at in range(n_query):
        gradients = torch.autograd.grad(output[:, :, at].square().sum(), (keys, values), retain_graph=True)
        reached = [gradient.abs().amax((1, 3)) > 0 for gradient in gradients]  # (B, S)
        assert not (reached[0] & ~seen[:, at]).any()
        assert torch.equal(reached[1], seen[:, at])


@settings(deadline=None, max_examples=40)
@given(KINDS, SEEDS, FEW, FEW, st.booleans())
def test_a_logit_depends_on_what_is_seen_over_the_layers_and_on_nothing_else(
    kind: str, seed: int, n_row: int, n_slot: int, explicit: bool
) -> None:
    """Virtual tokens and slots before the text carry nothing from token to token: they are seen, and see no text."""
    model, visibility = make_model(seed % 7), drawn(kind, seed)
    model.explicit_attention = explicit
    tokens = make_tokens(ROWS, T, seed=seed)
    inputs = torch.zeros(ROWS, T, SHAPE["d_model"], requires_grad=True)
    sites = Sites(before_text(seed, n_row, n_slot))
    handle = model.token_embedding.register_forward_hook(lambda module, ids, rows: rows + inputs)
    logits = model(tokens, sites=sites, visibility=visibility).logits
    handle.remove()
    step = (as_rows(visibility.mask(T, T)) | torch.eye(T, dtype=torch.bool)).float()
    may = torch.linalg.matrix_power(step, LAYERS) > 0  # (B, T, T): what reaches a token in so many layers
    if visibility is FULL and n_row:
        assert may.all()
    for at in range(T):
        (gradient,) = torch.autograd.grad(logits[:, at].square().sum(), inputs, retain_graph=True)
        assert torch.equal(gradient.abs().amax(-1) > 0, may[:, at])


def before_text(seed: int, n_row: int, n_slot: int) -> dict:
    """Virtual tokens at the embedding, slots in every layer."""
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(1, n_row, SHAPE["d_model"], generator=generator)
    deltas = {("embedding", None): [lambda n: rows.expand(n, -1, -1)]} if n_row else {}
    for layer in range(LAYERS if n_slot else 0):
        pair = torch.randn(2, SHAPE["n_head"], n_slot, 8, generator=generator)
        deltas["memory", layer] = [lambda n, pair=pair: Memory(*pair[:, None].expand(-1, n, -1, -1, -1))]
    return deltas


def by_torch(model: MiniLM, tokens: Tensor, seen: Tensor) -> Tensor:
    """Logits of the same weights, with `torch.nn.MultiheadAttention` in place of ours; `seen` is (T, T)."""
    x = model.token_embedding(tokens) + model.position_embedding.weight[: tokens.size(1)]
    for block in model.blocks:
        ours = block.attention
        parts = (ours.query, ours.key, ours.value)
        theirs = nn.MultiheadAttention(
            SHAPE["d_model"], SHAPE["n_head"], batch_first=True, dtype=torch.float64
        )
        theirs.load_state_dict(
            {
                "in_proj_weight": torch.cat([each.weight for each in parts]),
                "in_proj_bias": torch.cat([each.bias for each in parts]),
                "out_proj.weight": ours.output.weight,
                "out_proj.bias": ours.output.bias,
            }
        )
        normed = block.attention_norm(x)
        x = x + theirs(normed, normed, normed, attn_mask=~seen)[0]
        hidden = F.gelu(block.mlp.up(block.mlp_norm(x)), approximate="tanh")
        x = x + block.mlp.down(hidden)
    return F.linear(model.final_norm(x), model.token_embedding.weight)


@pytest.mark.parametrize(
    "visibility", [FULL, CAUSAL, REVERSED, prefix(3), permuted([2, 0, 3, 1, 4, 6, 5], sees_itself=True)]
)
@pytest.mark.parametrize("explicit", [False, True])
def test_a_minilm_is_the_encoder_that_torchs_attention_makes_of_its_weights(
    visibility, explicit: bool
) -> None:
    model, tokens = make_model().double(), make_tokens(ROWS, T)
    model.explicit_attention = explicit
    with torch.no_grad():
        expected = by_torch(model, tokens, visibility.matrix(T))
        torch.testing.assert_close(model(tokens, visibility=visibility).logits, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("n_row, n_slot", [(0, 0), (2, 0), (0, 3), (2, 3)])
@pytest.mark.parametrize("visibility", [CAUSAL, prefix(3)])
def test_a_cache_goes_on_as_the_whole_text_is_read(
    visibility, n_row: int, n_slot: int, explicit: bool
) -> None:
    """Once the prefix is read, what follows needs nothing that comes later."""
    model, tokens, sites = make_model(), make_tokens(ROWS, T), Sites(before_text(1, n_row, n_slot))
    model.explicit_attention = explicit
    cache = model.new_cache(ROWS)
    with torch.no_grad():
        whole = model(tokens, sites=sites, visibility=visibility).logits
        parts = [
            model(part, sites=sites, cache=cache, visibility=visibility).logits
            for part in tokens.split([4, 1, 2], dim=1)
        ]
    torch.testing.assert_close(torch.cat(parts, dim=1), whole, rtol=0, atol=1e-5)


@pytest.mark.parametrize("n_row, n_slot", [(0, 0), (2, 0), (2, 3)])
@pytest.mark.parametrize("kind", ["causal", "prefix", "rows", "documents"])
def test_rows_of_different_length_are_continued_as_if_alone(kind: str, n_row: int, n_slot: int) -> None:
    model, tokens, sites = make_model(), make_tokens(ROWS, T), Sites(before_text(1, n_row, n_slot))
    documents = torch.tensor([[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 0, 0, 0]])
    each = {
        "causal": [CAUSAL, CAUSAL],
        "prefix": [prefix(3), prefix(3)],
        "rows": [prefix(5), prefix(3)],
        "documents": [within(documents[:1]), within(documents[1:])],
    }[kind]
    together = {"rows": each_row(each), "documents": within(documents)}.get(kind, each[0])
    lengths, cache = torch.tensor([5, 3]), model.new_cache(ROWS)
    with torch.no_grad():
        model(tokens[:, :5], sites=sites, cache=cache, visibility=together)
        cache.set_lengths(lengths)
        steps = []
        for step in range(2):
            new = tokens[torch.arange(ROWS), lengths + step][:, None]
            steps.append(model(new, sites=sites, cache=cache, visibility=together).logits)
        for row, length in enumerate(lengths):
            text = tokens[row : row + 1, : length + 2]
            alone = model(text, sites=sites, visibility=each[row]).logits[0, -2:]
            ours = torch.cat([logits[row] for logits in steps])
            torch.testing.assert_close(ours, alone, rtol=0, atol=1e-5)


METHODS = [tuning.Side(16, 1, 2), tuning.Auxiliary(d_model=16, n_layer=1, n_head=2), tuning.Auxiliary(d_model=16, n_layer=1, n_head=2, feature_layers=1), tuning.Prompt(2), tuning.Inducer(2, 2)]  # fmt: skip


@pytest.mark.parametrize(
    "method", METHODS, ids=lambda method: f"{method.name}-{getattr(method, 'feature_layers', 0)}"
)
def test_what_is_attached_sees_no_more_than_its_base(method) -> None:
    """Right to left, position t must not depend on the tokens before it, whoever reads along."""
    tuned, tokens = tuning.attach(make_model(), method), make_tokens(ROWS, T)
    with torch.no_grad():
        for parameter in tuned.parameters_to_train():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    attribute = make_tokens(ROWS, 2, seed=3) if tuned.takes_attribute else None
    changed = tokens.clone()
    changed[:, :3] = make_tokens(ROWS, 3, seed=5)
    with torch.no_grad():
        before, after = (
            tuned(each, attribute=attribute, visibility=REVERSED).logits for each in (tokens, changed)
        )
    torch.testing.assert_close(before[:, 3:], after[:, 3:], rtol=0, atol=1e-6)
    assert (before[:, :3] - after[:, :3]).abs().max() > 1e-3


def test_the_rows_of_a_mixed_batch_are_each_read_with_their_own_visibility() -> None:
    base, tokens = make_model(), make_tokens(ROWS, T)
    tuned = tuning.attach(base, tuning.Inducer(2, 2, init="reference"))
    documents = torch.tensor([[0, 0, 0, 0, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1]])
    with torch.no_grad():
        mixed = MixedBatch([base, tuned])(tokens, visibility=within(documents)).logits
        for row, model in enumerate([base, tuned]):
            own = within(documents[row : row + 1])
            alone = model(tokens[row : row + 1], visibility=own).logits[0]
            torch.testing.assert_close(mixed[row], alone, rtol=0, atol=1e-5)


def test_a_trace_compares_with_the_base_under_the_same_visibility() -> None:
    tuned, tokens = tuning.attach(make_model(), tuning.LoRA(rank=2)), make_tokens(ROWS, T)
    with torch.no_grad(), trace(tuned) as seen:
        tuned(tokens, visibility=FULL)
    assert seen.logits.shift.abs().max() == 0
    assert (seen.attention[0][:, :, 0] > 0).all()


def test_a_triangle_and_a_full_view_need_no_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fused kernel then makes its own: no booleans are built for a pass over a text."""
    monkeypatch.setattr(Visibility, "mask", lambda *_: pytest.fail("a matrix was built"))
    model, tokens = make_model(), make_tokens(ROWS, T)
    for visibility in (CAUSAL, FULL):
        model(tokens, visibility=visibility)
    model(tokens, sites=Sites(before_text(0, 2, 0)))
    cache = model.new_cache(ROWS)
    for part in tokens.split([5, 1, 1], dim=1):
        model(part, cache=cache)


def test_what_is_no_visibility_is_refused() -> None:
    with pytest.raises(
        ValueError, match="visibility must be a Visibility such as CAUSAL, not the str 'full'"
    ):
        make_model()(make_tokens(1, 3), visibility="full")
