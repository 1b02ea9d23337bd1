"""LoRA and prefixes beside `peft`: the same files, the same logits, the same gradients."""

from __future__ import annotations

import warnings

import pytest
import torch

from minilm import MiniLM, ModelConfig
from minilm.checkpoints.tensors import CheckpointError
from minilm.interop import load_peft, save_peft, to_transformers
from minilm.tuning import Adapter, LoRA, Prefix
from tests.tuning.conftest import attach_and_stir

peft = pytest.importorskip("peft")

LORAS = {
    "query-value": LoRA(rank=3, alpha=5),
    "one map": LoRA(rank=2, targets=("value",)),
    "everywhere": LoRA(rank=2, targets=("query", "key", "value", "output", "up", "down")),
    "bias": LoRA(rank=2, alpha=7, targets=("key", "down"), bias=True),
    "rank-stabilised": LoRA(rank=4, targets=("query", "up"), rank_stabilised=True),
}


@pytest.fixture
def base() -> MiniLM:
    torch.manual_seed(3)
    model = MiniLM(ModelConfig(vocab_size=40, context_length=24, n_layer=2, n_head=2, d_model=16)).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture
def tokens():
    return torch.randint(40, (2, 9), generator=torch.Generator().manual_seed(5))


def in_peft(base: MiniLM, folder, trainable: bool = False):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return peft.PeftModel.from_pretrained(to_transformers(base), str(folder), is_trainable=trainable)


@pytest.mark.parametrize("method", LORAS.values(), ids=LORAS.keys())
def test_our_lora_in_peft(base, tokens, tmp_path, method):
    tuned = attach_and_stir(base, method)
    save_peft(tuned, tmp_path / "lora")
    theirs = in_peft(base, tmp_path / "lora").eval()
    torch.testing.assert_close(theirs(tokens).logits, tuned(tokens).logits, atol=1e-5, rtol=0)
    expected = tuned(tokens).logits.detach()
    tuned.detach()
    again = load_peft(base, tmp_path / "lora")
    assert again.methods["lora"] == method  # the separate factors come back, not their fusion
    torch.testing.assert_close(again(tokens).logits, expected, atol=1e-6, rtol=0)


def test_gradients_of_a_and_b(base, tokens, tmp_path):
    tuned = attach_and_stir(base, LoRA(rank=3, alpha=5))
    save_peft(tuned, tmp_path / "lora")
    theirs = in_peft(base, tmp_path / "lora", trainable=True).eval()
    for model in (tuned, theirs):
        model(tokens).logits.square().mean().backward()
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters() if "lora" in name}
    for layer in range(2):
        stem = f"base_model.model.transformer.h.{layer}.attn.c_attn.lora_"
        a, b = gradients[stem + "A.default.weight"], gradients[stem + "B.default.weight"]
        for number, site in enumerate(("query", "value")):
            change = tuned.attachments["lora"].changes[f"{site}-{layer}"]
            rank, rows = slice(3 * number, 3 * number + 3), slice(32 * number, 32 * number + 16)
            for ours, others in ((change.A.grad.T, a[rank]), (change.B.grad.T, b[rows, rank])):
                assert (ours - others).abs().max() <= 1e-5 * others.abs().max()


@pytest.mark.parametrize(
    "options", [{}, {"use_rslora": True}, {"lora_bias": True}, {"rank_pattern": {"c_fc": 5}}]
)
def test_pefts_lora_in_minilm(base, tokens, tmp_path, options):
    settings = peft.LoraConfig(
        r=3,
        lora_alpha=7,
        target_modules=["c_attn", "c_fc", "attn.c_proj"],
        fan_in_fan_out=True,
        task_type="CAUSAL_LM",
        **options,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = peft.get_peft_model(to_transformers(base), settings).eval()
    with torch.no_grad():
        for name, parameter in theirs.named_parameters():
            if "lora" in name:
                parameter += 0.2 * torch.randn_like(parameter)
    theirs.save_pretrained(str(tmp_path))
    ours = load_peft(base, tmp_path)
    torch.testing.assert_close(ours(tokens).logits, theirs(tokens).logits, atol=1e-5, rtol=0)


def test_prefixes_both_ways(base, tokens, tmp_path):
    tuned = attach_and_stir(base, Prefix(length=3, hidden=8, shift_positions=True))
    save_peft(tuned, tmp_path / "prefix")
    theirs = in_peft(base, tmp_path / "prefix").eval()
    with torch.no_grad():
        expected = tuned(tokens).logits
        torch.testing.assert_close(theirs(tokens).logits, expected, atol=1e-5, rtol=0)
    theirs.save_pretrained(str(tmp_path / "again"))
    tuned.detach()
    torch.testing.assert_close(
        load_peft(base, tmp_path / "again")(tokens).logits, expected, atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("projection", [False, True])
def test_pefts_prefix_in_minilm(base, tokens, tmp_path, projection):
    settings = peft.PrefixTuningConfig(
        num_virtual_tokens=4, task_type="CAUSAL_LM", prefix_projection=projection, encoder_hidden_size=8
    )
    theirs = peft.get_peft_model(to_transformers(base), settings).eval()
    theirs.save_pretrained(str(tmp_path))
    ours = load_peft(base, tmp_path)
    with torch.no_grad():
        torch.testing.assert_close(ours(tokens).logits, theirs(tokens).logits, atol=1e-5, rtol=0)


def test_what_pefts_format_cannot_hold(base, tmp_path):
    with pytest.raises(ValueError, match="one LoRA or one prefix, not adapter"):
        save_peft(attach_and_stir(base, Adapter(bottleneck=2)), tmp_path)
    with pytest.raises(ValueError, match="shift_positions=True"):
        save_peft(attach_and_stir(base, Prefix(length=2, hidden=4)), tmp_path)


def test_an_adapter_for_another_shape(base, tmp_path):
    save_peft(attach_and_stir(base, LoRA(rank=2)), tmp_path / "lora")
    wide = MiniLM(ModelConfig(vocab_size=40, context_length=24, n_layer=2, n_head=2, d_model=32))
    with pytest.raises(CheckpointError, match="does not fit this model"):
        load_peft(wide, tmp_path / "lora")
    assert all(weight.requires_grad for weight in wide.parameters())
