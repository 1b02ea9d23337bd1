"""Auxiliary tuning against its equations, evaluated one text and one position at a time in float64."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilm import MiniLM, ModelConfig, generate
from minilm.generation import complete
from minilm.objectives import Completions
from minilm.training import TrainingConfig, train
from minilm.tuning import (
    Auxiliary,
    LoRA,
    Method,
    Prompt,
    TunedModel,
    attach,
    count_on,
    encode_attributes,
    load,
    strength,
)
from tests.tuning.conftest import attach_and_stir

PLAIN = Auxiliary(d_model=6, n_layer=2, n_head=2)
FEATURES = Auxiliary(d_model=6, n_layer=2, n_head=2, feature_layers=1)
ALL_FEATURES = Auxiliary(d_model=6, n_layer=1, n_head=3, feature_layers=2)
KINDS = {"plain": PLAIN, "features": FEATURES, "all features": ALL_FEATURES}
every_kind = pytest.mark.parametrize("method", KINDS.values(), ids=KINDS.keys())
ATTRIBUTE = torch.tensor([[7, 3, 30], [12, 12, 5]])


class ByHand:
    """The equations once more: row vectors, one text at a time, attention by loops over heads and queries."""

    def __init__(self, tuned: TunedModel):
        (attachment,) = tuned.attachments.values()
        self.base, self.network = tuned.base, attachment.network
        self.n_feature = attachment.feature_layers

    def logits(self, tokens: Tensor, attribute: Tensor) -> Tensor:
        """z_LM(x_<t) + z_AUX([a ; x_<t]): (B, T, vocab)."""
        return torch.stack([self.of_text(x, a) for x, a in zip(tokens, attribute, strict=True)])

    def of_text(self, x: Tensor, a: Tensor) -> Tensor:
        base, m = self.base, len(a)
        h = self.blocks(base.blocks, embedded(base, x))
        z_lm = norm(base.final_norm, h) @ base.token_embedding.weight.T
        z_aux = self.auxiliary(x, a)  # (m + T, vocab)
        return torch.stack([z_lm[t - 1] + z_aux[m + t - 1] for t in range(1, len(x) + 1)])

    def auxiliary(self, x: Tensor, a: Tensor) -> Tensor:
        network = self.network
        if not self.n_feature:
            trunk, embedding = network.model, network.model.token_embedding.weight
            inner = embedded(trunk, torch.cat([a, x]))
        else:
            trunk, embedding = network, self.base.token_embedding.weight
            z_att, z_txt = network.segments
            inner = torch.cat([self.features(a) + z_att, self.features(x) + z_txt])
        h = norm(trunk.final_norm, self.blocks(trunk.blocks, inner))
        return h @ network.project_out.weight.T @ embedding.T

    def features(self, ids: Tensor) -> Tensor:
        lower = self.blocks(self.base.blocks[: self.n_feature], embedded(self.base, ids))
        centred = lower - lower.mean(-1, keepdim=True)
        spread = (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
        return centred / spread @ self.network.project_in.weight.T

    def blocks(self, blocks: nn.ModuleList, x: Tensor) -> Tensor:
        for block in blocks:
            x = x + attention(block.attention, norm(block.attention_norm, x))
            hidden = linear(block.mlp.up, norm(block.mlp_norm, x))
            x = x + linear(block.mlp.down, F.gelu(hidden, approximate="tanh"))
        return x


def embedded(model: MiniLM, ids: Tensor) -> Tensor:
    return model.token_embedding.weight[ids] + model.position_embedding.weight[: len(ids)]


def linear(layer: nn.Linear, x: Tensor) -> Tensor:
    return x @ layer.weight.T + layer.bias


def norm(layer: nn.LayerNorm, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + layer.eps).sqrt() * layer.weight + layer.bias


def attention(layer: nn.Module, x: Tensor) -> Tensor:
    query, key, value = (linear(getattr(layer, name), x) for name in ("query", "key", "value"))
    width, rows = x.size(-1) // layer.n_head, []
    for i in range(len(x)):
        heads = []
        for head in range(layer.n_head):
            here = slice(head * width, (head + 1) * width)
            weights = (key[: i + 1, here] @ query[i, here] / math.sqrt(width)).softmax(0)
            heads.append(weights @ value[: i + 1, here])
        rows.append(linear(layer.output, torch.cat(heads)))
    return torch.stack(rows)


def gradients(logits: Tensor, tuned: TunedModel) -> dict[str, Tensor]:
    """Of a sum in which every logit has a weight of its own, by every trained parameter."""
    weights = torch.linspace(-1, 1, logits.numel(), dtype=logits.dtype).view_as(logits).cos()
    names, parameters = zip(*tuned.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad((weights * logits).sum(), parameters), strict=True))


@every_kind
def test_both_architectures_are_their_equations(base, tokens, method: Method):
    tuned = attach_and_stir(base, method).to(torch.float64)
    ours, theirs = tuned(tokens, attribute=ATTRIBUTE).logits, ByHand(tuned).logits(tokens, ATTRIBUTE)
    assert (ours - theirs).abs().max() <= 1e-10
    expected = gradients(theirs, tuned)
    for name, gradient in gradients(ours, tuned).items():
        assert "key.bias" in name or expected[name].abs().max() > 1e-6, name
        assert (gradient - expected[name]).abs().max() <= 1e-10, name


@every_kind
def test_the_first_step_is_the_base_bit_for_bit(base, tokens, method: Method):
    before = base(tokens).logits
    assert torch.equal(attach(base, method)(tokens, attribute=ATTRIBUTE).logits, before)


@every_kind
def test_the_shift_hangs_on_the_attribute_and_only_on_tokens_read(base, tokens, method: Method):
    tuned = attach_and_stir(base, method)
    logits = tuned(tokens, attribute=ATTRIBUTE).logits
    assert (logits - tuned(tokens, attribute=ATTRIBUTE.flip(0)).logits).abs().min(-1).values.min() > 0
    later = tokens.clone()
    later[:, 5:] = (later[:, 5:] + 1) % 40
    torch.testing.assert_close(tuned(later, attribute=ATTRIBUTE).logits[:, :5], logits[:, :5])


@every_kind
@pytest.mark.parametrize("with_prompt", [False, True])
def test_cached_generation_is_recomputing(base, method: Method, with_prompt: bool):
    tuned = attach_and_stir(base, [Prompt(length=2), method] if with_prompt else method)
    prompt = torch.tensor([[1, 2, 3], [4, 5, 6]])
    cached = generate(tuned, prompt, tuned.window - 3, temperature=0, attribute=ATTRIBUTE)
    slow = prompt
    while slow.size(1) < tuned.window:
        logits = tuned(slow, attribute=ATTRIBUTE).logits
        slow = torch.cat([slow, logits[:, -1:].argmax(-1)], dim=1)
    assert torch.equal(cached, slow)
    alone = generate(tuned, prompt[:1], tuned.window - 3, temperature=0, attribute=ATTRIBUTE[:1])
    assert torch.equal(alone, slow[:1])


@every_kind
def test_prompts_of_different_lengths_are_continued_as_each_alone(base, method: Method):
    tuned = attach_and_stir(base, method)
    prompts = [[1, 2, 3, 4, 5], [6, 7]]
    together = complete(tuned, prompts, 8, attribute=ATTRIBUTE)
    for prompt, attribute, text in zip(prompts, ATTRIBUTE, together, strict=True):
        assert complete(tuned, [prompt], 8, attribute=attribute[None])[0] == text


@every_kind
def test_beyond_the_window_generation_goes_on(base, method: Method):
    tuned = attach_and_stir(base, method)
    with pytest.warns(UserWarning, match="outgrows the window"):
        text = generate(
            tuned, torch.tensor([[1, 2]]), tuned.window + 4, temperature=0, attribute=ATTRIBUTE[:1]
        )
    assert text.size(1) == tuned.window + 6


def test_strength_scales_the_shift_and_comes_back(base, tokens):
    tuned = attach_and_stir(base, PLAIN)
    shift = tuned(tokens, attribute=ATTRIBUTE).logits - base(tokens).logits
    with strength(tuned, 2.5):
        stronger = tuned(tokens, attribute=ATTRIBUTE).logits - base(tokens).logits
    torch.testing.assert_close(stronger, 2.5 * shift, atol=1e-4, rtol=1e-4)
    with strength(tuned, 0):
        assert torch.equal(tuned(tokens, attribute=ATTRIBUTE).logits, base(tokens).logits)
    assert tuned.attachments["auxiliary"].strength == 1.0


def test_several_models_add_up_each_with_columns_of_its_own(base, tokens):
    first, second = Auxiliary(6, 2, 2, columns=(0, 2)), Auxiliary(6, 1, 2, 1, columns=(2, 3))
    tuned = attach_and_stir(base, {"a": first, "b": second})
    together = tuned(tokens, attribute=ATTRIBUTE).logits - base(tokens).logits
    with strength(tuned, {"b": 0.0}):
        a = tuned(tokens, attribute=ATTRIBUTE).logits - base(tokens).logits
    with strength(tuned, {"a": 0.0}):
        b = tuned(tokens, attribute=ATTRIBUTE).logits - base(tokens).logits
    torch.testing.assert_close(together, a + b, atol=1e-5, rtol=1e-5)

    alone = attach(base, Auxiliary(6, 2, 2))
    alone.attachments["auxiliary"].restore(tuned.attachments["a"].stored())
    alone_shift = alone(tokens, attribute=ATTRIBUTE[:, :2]).logits - base(tokens).logits
    torch.testing.assert_close(a, alone_shift, atol=1e-5, rtol=1e-5)


@every_kind
def test_training_learns_the_attribute_and_leaves_the_base_alone(base, method: Method):
    """Texts that end in their attribute's token: nothing but the attribute tells which."""
    texts = [([1, 2, 3], [4, 5, ending]) for ending in (10, 11, 12, 13)]
    attributes = [[20 + ending] for ending in (10, 11, 12, 13)]
    batches = Completions(texts, batch_size=4, window=24, attributes=attributes)
    before = [weight.clone() for weight in base.state_dict().values()]
    tuned = attach(base, method)
    settings = TrainingConfig(steps=300, optimizer="adamw", learning_rate=3e-2, device="cpu")
    assert train(tuned, batches, settings, progress=False).loss < 0.1
    assert all(map(torch.equal, before, base.state_dict().values()))


def test_a_saved_model_speaks_the_same_and_only_on_its_own_base(base, tokens, tmp_path):
    tuned = attach_and_stir(base, Auxiliary(6, 1, 2, columns=(1, 3), strength=1.5))
    expected = tuned(tokens, attribute=ATTRIBUTE).logits
    tuned.save(tmp_path / "aux")
    assert torch.equal(load(base, tmp_path / "aux")(tokens, attribute=ATTRIBUTE).logits, expected)
    other = MiniLM(base.config)
    with pytest.raises(ValueError, match="other weights"):
        load(other, tmp_path / "aux")
    with pytest.raises(ValueError, match="vocab_size"):
        load(
            MiniLM(ModelConfig(vocab_size=41, context_length=24, n_layer=2, n_head=2, d_model=16)),
            tmp_path / "aux",
        )


def test_the_embedding_of_the_base_takes_no_room_of_its_own():
    shape = ModelConfig(vocab_size=40, context_length=24, n_layer=2, n_head=2, d_model=16)
    block = 12 * 6**2 + 13 * 6  # attention and MLP with biases, two norms
    trunk = 2 * block + 2 * 6
    assert count_on(shape, PLAIN).stored == trunk + 6 * 6 + 6 * (40 + 24 + 16)
    assert count_on(shape, FEATURES).stored == trunk + 2 * 6 * 16 + 2 * 6


def test_attributes_of_different_lengths_get_the_same(stories_tokenizer):
    tok = stories_tokenizer
    ids = encode_attributes(tok, [" because", " on the other hand"])
    assert ids.shape == (2, len(tok.encode(" on the other hand")))
    padding = ids.size(1) - len(tok.encode(" because"))
    assert ids[0].tolist() == [tok.end_of_text] * padding + tok.encode(" because")
    assert encode_attributes(tok, [" because"], length=9).shape == (1, 9)
    with pytest.raises(ValueError, match="'' has no tokens"):
        encode_attributes(tok, [" because", ""])
    with pytest.raises(ValueError, match="more than the 1 allowed"):
        encode_attributes(tok, [" on the other hand"], length=1)


@pytest.fixture(scope="module")
def stories_tokenizer():
    from minilm import BPETokenizer

    return BPETokenizer.train(["the other day it rained because it was on the other hand"], vocab_size=280)


@pytest.mark.parametrize(
    ("method", "attribute", "complaint"),
    [
        (PLAIN, torch.zeros(2, 0, dtype=torch.int64), "the attribute has no tokens"),
        (PLAIN, torch.zeros(2, 17, dtype=torch.int64), "17 tokens does not fit.*reads up to 16"),
        (FEATURES, torch.zeros(2, 17, dtype=torch.int64), "17 tokens does not fit"),
        (PLAIN, torch.zeros(1, 2, dtype=torch.int64), "2 texts need as many attributes, not 1"),
        (PLAIN, torch.zeros(2, dtype=torch.int64), r"must be \(batch, m\) of int64, not \(2,\)"),
        (PLAIN, torch.zeros(2, 2), "of int64, not .* of torch.float32"),
        (PLAIN, torch.full((2, 2), 40), "token id 40 is outside the vocabulary"),
        (FEATURES, torch.full((2, 2), 40), "token id 40 is outside the vocabulary"),
        (Auxiliary(6, 1, 2, columns=(1, 3)), torch.zeros(2, 2, dtype=torch.int64), r"no columns 1 \.\. 2"),
    ],
)
def test_bad_attributes_are_one_clear_error(base, tokens, method, attribute, complaint):
    tuned = attach(base, method)
    with pytest.raises(ValueError, match=complaint):
        tuned(tokens, attribute=attribute)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda base: attach(base, Auxiliary(feature_layers=3)), "feature_layers is 3, but the base has 2"),
        (
            lambda base: Auxiliary(feature_layers=-1),
            "feature_layers must be a whole number of at least 0, not -1",
        ),
        (lambda base: Auxiliary(d_model=6, n_head=4), "d_model=6 is not divisible by n_head=4"),
        (lambda base: Auxiliary(attribute_length=0), "attribute_length must be a whole number of at least 1"),
        (lambda base: Auxiliary(columns=(2, 2)), r"first < end, not \(2, 2\)"),
        (lambda base: Auxiliary(strength=-1), "strength must be a number from 0 to 10, not -1"),
        (lambda base: strength(attach(base, PLAIN), 1e6).__enter__(), "to 10, not 1000000"),
        (lambda base: strength(attach(base, PLAIN), {"other": 1}).__enter__(), "'other' has no strength"),
        (lambda base: strength(attach(base, LoRA(rank=2)), 2).__enter__(), "'lora' has no strength"),
        (lambda base: attach(base, PLAIN).merge(), "AuxiliaryAttachment cannot be merged"),
    ],
)
def test_bad_settings_are_one_clear_error(base, make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make(base)
