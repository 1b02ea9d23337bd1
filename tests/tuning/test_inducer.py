"""Inducer-tuning against its equations, evaluated one head, one query and one key at a time in float64."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from minilm import MiniLM, ModelConfig, generate, trace
from minilm.model.attention import Attended, attend
from minilm.model.visibility import CAUSAL, fixed
from minilm.tuning import Inducer, LoRA, MAMInducer, Method, TunedModel, attach, count_on, load
from minilm.tuning.methods.gate import gate, log_sum_exp
from tests.tuning.conftest import attach_and_stir

SHAPE = ModelConfig(vocab_size=11, context_length=6, n_layer=2, n_head=2, d_model=6)
GPT2 = ModelConfig.preset("gpt2")

VARIANTS: dict[str, Method] = {
    "inducer": Inducer(3, 4),
    "inducer, reference start": Inducer(3, 4, init="reference"),
    "not extended": Inducer(3, 4, extend_value=False),
    "adaptive": Inducer.adaptive(4),
    "extension": Inducer.extension(4),
    "gating": Inducer.gating_variant(3, 4),
    "gating, not extended": Inducer(3, 4, extend_value=False, gating=True),
    "with lora": Inducer.with_lora(3, 4, query_rank=2),
    "mam": MAMInducer(3, 4, query_rank=2, bottleneck=5, scale=1.5),
}
every_variant = pytest.mark.parametrize("method", VARIANTS.values(), ids=VARIANTS.keys())
RESIDUAL = [each for name, each in VARIANTS.items() if "gating" not in name and "reference" not in name]


class ByLoops:
    """The tuned model once more: attention and inducers as loops over scalars' worth of work, the rest as formulas."""

    def __init__(self, base: MiniLM, tuned: TunedModel):
        self.base = base
        self.adapters = None
        (attachment,) = tuned.attachments.values()
        (self.settings,) = tuned.methods.values()
        if isinstance(self.settings, MAMInducer):
            self.adapters, self.scale = attachment.parts["adapter"].adapters, self.settings.scale
            attachment, self.settings = attachment.parts["inducer"], self.settings.inducer
        self.inducers, self.queries = attachment.inducers, attachment.queries

    def logits(self, tokens: Tensor) -> Tensor:
        """(B, T, vocab)."""
        base = self.base
        x = base.token_embedding.weight[tokens] + base.position_embedding.weight[: tokens.size(1)]
        for layer, block in enumerate(base.blocks):
            rows = [self.attention(layer, block.attention, row) for row in self.norm(block.attention_norm, x)]
            x = x + torch.stack(rows)
            x = x + self.mlp(layer, block, self.norm(block.mlp_norm, x))
        return self.norm(base.final_norm, x) @ base.token_embedding.weight.T

    def norm(self, norm: nn.LayerNorm, x: Tensor) -> Tensor:
        centred = x - x.mean(-1, keepdim=True)
        return centred / (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt() * norm.weight + norm.bias

    def mlp(self, layer: int, block: nn.Module, x: Tensor) -> Tensor:
        hidden = F.gelu(x @ block.mlp.up.weight.T + block.mlp.up.bias, approximate="tanh")
        y = hidden @ block.mlp.down.weight.T + block.mlp.down.bias
        if self.adapters is None:
            return y
        adapter = self.adapters[f"mlp-{layer}"]
        inner = (x @ adapter.down.weight.T + adapter.down.bias).clamp(min=0)
        return y + self.scale * (inner @ adapter.up.weight.T + adapter.up.bias)

    def attention(self, layer: int, attention: nn.Module, x: Tensor) -> Tensor:
        """One text: x (T, d) to (T, d)."""
        query, key, value = (
            x @ getattr(attention, name).weight.T + getattr(attention, name).bias
            for name in ("query", "key", "value")
        )
        if len(self.queries):
            lora = self.queries[layer]
            scale = self.settings.query_alpha / self.settings.query_rank
            query = query + scale * (x @ lora.A @ lora.B + lora.bias)
        rows = []
        for i in range(len(x)):
            heads, beyond = [], 0.0
            for head in range(SHAPE.n_head):
                here = slice(head * SHAPE.head_size, (head + 1) * SHAPE.head_size)
                own, extended = self.head(
                    self.inducers[layer], head, query[i, here], key[: i + 1, here], value[: i + 1, here]
                )
                heads.append(own)
                beyond = beyond + extended
            y = torch.cat(heads) @ attention.output.weight.T + attention.output.bias
            rows.append(y + beyond + (self.inducers[layer].value.b if self.settings.extend_value else 0.0))
        return torch.stack(rows)

    def head(
        self, inducer, head: int, q: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor | float]:
        """One query of one head: its output (p,), and what it adds to the layer's (d,)."""
        kernel = [torch.exp(q @ k / math.sqrt(len(q))) for k in keys]
        o = sum(each * v for each, v in zip(kernel, values, strict=True)) / sum(kernel)
        virtual_key = q
        if self.settings.key_bottleneck:
            f = inducer.key
            virtual_key = q + torch.tanh(q @ f.A[head] + f.a[head, 0]) @ f.B[head] + f.b[head, 0]
        own = torch.exp(q @ virtual_key / math.sqrt(len(q)))
        gate = own / (own + sum(kernel))
        kept = (1 - gate) * o if self.settings.gating else o
        f = inducer.value
        hidden = torch.tanh(q @ f.A[head] + f.a[head, 0])
        if self.settings.extend_value:
            return kept, gate * (hidden @ f.W[head])
        return kept + gate * (hidden @ f.B[head] + f.b[head, 0]), 0.0


def small_model(scale: float = 0.6) -> MiniLM:
    """Weights large enough for gates to differ from token to token."""
    torch.manual_seed(1)
    model = MiniLM(SHAPE)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=scale)
    return model.eval()


def gradients(logits: Tensor, tuned: TunedModel) -> dict[str, Tensor]:
    """Of a sum in which every logit has a weight of its own, by every trained parameter."""
    weights = torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits).cos()
    names, parameters = zip(*tuned.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad((weights * logits).sum(), parameters), strict=True))


TOKENS = torch.randint(11, (2, 5), generator=torch.Generator().manual_seed(2))


@every_variant
@pytest.mark.parametrize("explicit", [False, True])
def test_every_variant_is_its_equations(method: Method, explicit: bool):
    tuned = attach_and_stir(small_model(), method).to(torch.float64)
    tuned.base.explicit_attention = explicit
    ours, theirs = tuned(TOKENS).logits, ByLoops(tuned.base, tuned).logits(TOKENS)
    assert (ours - theirs).abs().max() <= 1e-10
    expected = gradients(theirs, tuned)
    for name, gradient in gradients(ours, tuned).items():
        assert expected[name].abs().max() > 1e-6, name
        assert (gradient - expected[name]).abs().max() <= 1e-10, name


@pytest.mark.parametrize(
    ("method", "stored"),
    [
        (Inducer.adaptive(108), 2_015_424),
        (Inducer.extension(16), 1_928_448),
        (Inducer.gating_variant(10, 15), 2_003_472),
        (Inducer(), 2_003_472),
        (Inducer.with_lora(5, 12, query_rank=24), 2_002_320),
        (MAMInducer(3, 7, query_rank=16, bottleneck=42), 2_001_816),
    ],
)
def test_counts_of_the_published_table(method: Method, stored: int):
    count = count_on(GPT2, method)
    assert count.stored == count.trained == stored
    assert count.base == 124_439_808


def test_a_lora_attached_beside_costs_the_same():
    together = count_on(GPT2, Inducer.with_lora(5, 12, query_rank=24)).stored
    beside = (
        count_on(GPT2, Inducer(5, 12)).stored + count_on(GPT2, LoRA(24, targets=("query",), bias=True)).stored
    )
    assert together == beside


def test_a_lora_inside_is_a_lora_beside_but_for_the_scale_of_its_bias(base, tokens):
    inside = attach_and_stir(base, Inducer.with_lora(3, 4, query_rank=2))
    beside = attach(base, [Inducer(3, 4), LoRA(2, alpha=32, targets=("query",), bias=True)])
    weights = inside.attachments["inducer"].stored()
    beside.attachments["inducer"].restore(
        {name: each for name, each in weights.items() if not name.startswith("queries")}
    )
    for layer in range(2):
        for name, factor in {"A": 1, "B": 1, "bias": 32 / 2}.items():
            lora = beside.attachments["lora"].changes[f"query-{layer}"]
            getattr(lora, name).data = factor * weights[f"queries.{layer}.{name}"].detach()
    torch.testing.assert_close(beside(tokens).logits, inside(tokens).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("pull", [0.3, 8.0, 30.0])
def test_fused_is_explicit_also_where_the_gate_nears_one(variant: str, pull: float):
    """`pull` makes queries longer: with P_k near q their own score grows with the square, the others' do not."""
    tuned = attach_and_stir(small_model(0.3), VARIANTS[variant])
    for block in tuned.base.blocks:
        block.attention.query.weight.data *= pull
    fused = tuned(TOKENS).logits
    fused_gradients = gradients(fused, tuned)
    tuned.base.explicit_attention = True
    explicit = tuned(TOKENS).logits
    assert (fused - explicit).abs().max() <= 1e-5
    for name, expected in gradients(explicit, tuned).items():
        assert (fused_gradients[name] - expected).norm() <= 1e-4 * expected.norm(), name
    with trace(tuned) as seen:
        tuned(TOKENS)
    near_one = torch.cat([gate.flatten() for gate in seen.gates.values()]) > 0.9999
    assert near_one.float().mean() > {0.3: -1, 8.0: 0.5, 30.0: 0.95}[pull]


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.tuples(
        st.integers(1, 2), st.integers(1, 2), st.integers(1, 150), st.integers(0, 70), st.integers(1, 4)
    ),
    masked=st.booleans(),
    spread=st.sampled_from([0.1, 1.0, 6.0]),
    seed=st.integers(0, 999),
)
def test_sums_by_blocks_are_sums_over_rows(sizes, masked: bool, spread: float, seed: int):
    """Also across the borders of blocks, with memory slots before the text and with a mask; values and gradients."""
    n_batch, n_head, n_query, n_more, p = sizes
    generator = torch.Generator().manual_seed(seed)
    query = spread * torch.randn(n_batch, n_head, n_query, p, generator=generator, dtype=torch.float64)
    keys = spread * torch.randn(
        n_batch, n_head, n_query + n_more, p, generator=generator, dtype=torch.float64
    )
    seen = torch.ones(n_query, n_query + n_more, dtype=torch.bool).tril(n_more)
    mask = None
    if masked:
        hidden = torch.rand(n_batch, 1, n_query, n_query + n_more, generator=generator) < 0.3
        mask = seen = seen & ~hidden | torch.eye(n_query, n_query + n_more, dtype=torch.bool)
    query.requires_grad_(), keys.requires_grad_()
    weights = torch.randn(n_batch, n_head, n_query, generator=generator, dtype=torch.float64)
    ours = log_sum_exp(query, keys, CAUSAL if mask is None else fixed(mask))
    theirs = (query @ keys.mT / p**0.5).masked_fill(~seen, -math.inf).logsumexp(-1)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    for one, other in zip(
        torch.autograd.grad((weights * ours).sum(), (query, keys)),
        torch.autograd.grad((weights * theirs).sum(), (query, keys)),
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


@pytest.mark.parametrize("log_odds", [-30.0, -5.0, 0.0, 5.0, 10.0, 15.0, 30.0])
@pytest.mark.parametrize("explicit", [False, True])
def test_the_gates_gradient_keeps_its_digits(log_odds: float, explicit: bool):
    """lambda (1 - lambda), to 1e-5 of itself even where 1 - lambda is 1e-13 and float32 rounds lambda to 1."""
    query, keys = torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 2)  # one key of score 0: logsumexp = 0
    score = torch.full((1, 1, 1), log_odds, requires_grad=True)
    gate(attend(query, keys, keys, explicit=explicit), score).sum().backward()
    expected = 1 / (2 + math.exp(log_odds) + math.exp(-log_odds))
    assert score.grad.item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("method", RESIDUAL)
def test_the_identity_start_is_the_base_bit_for_bit_and_learns(base, tokens, method: Method):
    before = base(tokens).logits
    tuned = attach(base, method)
    for mode in (False, True):
        assert torch.equal(tuned.train(mode)(tokens).logits, before)
    tuned(tokens).logits.square().sum().backward()
    assert any(
        parameter.grad.abs().max() > 0 for name, parameter in tuned.named_parameters() if "value" in name
    )


def test_the_reference_start_leaves_nothing_at_zero(base, tokens):
    tuned = attach(base, Inducer(init="reference", query_rank=2))
    weights = torch.cat([each.flatten() for each in tuned.attachments["inducer"].inducers.parameters()])
    assert (weights != 0).all()
    assert weights.std().item() == pytest.approx(0.01, rel=0.1)
    assert not torch.equal(tuned(tokens).logits, base(tokens).logits)


def test_gating_takes_from_the_text_what_it_gives(base, tokens):
    tuned = attach(base, Inducer.gating_variant(3, 4, init="identity", extend_value=False))
    assert not torch.equal(tuned(tokens).logits, base(tokens).logits)
    with trace(tuned) as seen:
        tuned(tokens)
    delta = tuned.attachments["inducer"].inducers[0]
    attended = some_attended(base, tokens)
    share = gate(attended, delta.own_score(attended.query))[..., None]
    torch.testing.assert_close(delta(attended).heads, -share * attended.output)
    torch.testing.assert_close(seen.gates[0], share[..., 0])


def some_attended(base: MiniLM, tokens: Tensor, dropout: float = 0.0) -> Attended:
    """What the first layer's attention does for a text."""
    x = base.blocks[0].attention_norm(base.token_embedding(tokens) + base.position_embedding.weight[:9])
    maps = (base.blocks[0].attention.query, base.blocks[0].attention.key, base.blocks[0].attention.value)
    return attend(*(each(x).unflatten(-1, (2, 8)).transpose(1, 2) for each in maps), dropout=dropout)


def test_attention_dropout_falls_on_the_gate_as_well(base, tokens):
    delta = attach_and_stir(base, Inducer.adaptive(4)).attachments["inducer"].inducers[0]
    plain = delta(some_attended(base, tokens)).heads
    dropped = delta(some_attended(base, tokens, dropout=0.5)).heads
    gone = (dropped == 0).all(-1)
    assert 0 < gone.float().mean() < 1
    torch.testing.assert_close(dropped[~gone], 2 * plain[~gone])


@every_variant
def test_cached_generation_gives_the_tokens_of_recomputing(base, method: Method):
    tuned = attach_and_stir(base, method)
    prompt = torch.tensor([[1, 2, 3], [4, 5, 6], [7, 8, 9]])
    slow = prompt
    while slow.size(1) < 24:
        slow = torch.cat([slow, tuned(slow).logits[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(generate(tuned, prompt, 21, temperature=0), slow)
    assert not torch.equal(generate(base, prompt, 21, temperature=0), slow)


def test_virtual_pairs_are_not_cached(base, tokens):
    tuned = attach_and_stir(base, Inducer(3, 4))
    cache = tuned.new_cache(2, 9)
    tuned(tokens, cache=cache)
    assert cache.length == 9 and cache.keys.shape == (2, 2, 2, 9, 8)


@every_variant
def test_padding_on_the_right_changes_no_real_token(base, method: Method):
    """Rows of different lengths in one batch against each row alone, in float64."""
    tuned = attach_and_stir(base, method).to(torch.float64)
    texts = [torch.randint(40, (n,), generator=torch.Generator().manual_seed(n)) for n in (3, 8, 14)]
    batch = nn.utils.rnn.pad_sequence(texts, batch_first=True)
    together = tuned(batch).logits
    for row, text in enumerate(texts):
        torch.testing.assert_close(
            together[row, : len(text)], tuned(text[None]).logits[0], rtol=0, atol=1e-10
        )


def test_the_traced_gate_is_the_share_of_one_more_key(base, tokens):
    tuned = attach_and_stir(base, Inducer(3, 4))
    with trace(tuned) as seen:
        tuned(tokens)
    attended = some_attended(base, tokens)
    own = tuned.attachments["inducer"].inducers[0].own_score(attended.query).exp()
    kernel = (attended.query @ attended.keys.mT / 8**0.5).exp().tril()
    torch.testing.assert_close(seen.gates[0], own / (own + kernel.sum(-1)))
    assert set(seen.gates) == {0, 1}


def test_memory_stays_linear_in_the_length():
    """What the backward pass of a long text keeps: no tensor with a row and a column for each of its tokens."""
    query = torch.randn(1, 1, 700, 4, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()), lambda _: None):
        log_sum_exp(query, torch.randn(1, 1, 700, 4))
    assert max(kept) <= 700 * 4


@every_variant
def test_it_trains_in_half_precision(base, tokens, method: Method):
    """Matrix products in bfloat16, whatever the types that a variant hands on; the gate keeps float32."""
    tuned = attach_and_stir(base, method)
    with torch.autocast("cpu", torch.bfloat16):
        logits = tuned(tokens).logits
    expected = tuned(tokens).logits
    assert (logits.float() - expected).norm() <= 0.05 * expected.norm()
    logits.float().square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in tuned.parameters())


@every_variant
def test_saved_and_loaded_it_is_the_same(base, tokens, method: Method, tmp_path):
    tuned = attach_and_stir(base, method)
    tuned.save(tmp_path / "tuned")
    again = load(base, tmp_path / "tuned")
    assert again.methods == tuned.methods
    assert torch.equal(again(tokens).logits, tuned(tokens).logits)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Inducer(key_bottleneck=-1), "key_bottleneck must be a whole number of at least 0, not -1"),
        (lambda: Inducer(value_bottleneck=0), "value_bottleneck must be a whole number of at least 1, not 0"),
        (lambda: Inducer(init="zero"), "init must be one of identity, reference, not 'zero'"),
        (lambda: Inducer(query_rank=2, query_dropout=1.0), "dropout must lie in"),
        (lambda: MAMInducer(bottleneck=0), "bottleneck must be a whole number of at least 1, not 0"),
        (
            lambda: MAMInducer(value_bottleneck=0),
            "value_bottleneck must be a whole number of at least 1, not 0",
        ),
        (lambda: attach(small_model(), Inducer()).merge(), "InducerAttachment cannot be merged"),
    ],
)
def test_bad_settings_are_named(make, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        make()
