"""LoRA and prefixes beside `peft`: the same files, the same logits, the same gradients."""

from __future__ import annotations

import json
import warnings

import pytest
import torch
from safetensors.torch import load_file, save_file

from minilm import MiniLM, ModelConfig
from minilm.interop import from_transformers, load_peft, save_peft, to_transformers
from minilm.system.errors import CheckpointError, SaveError
from minilm.system.manifest import MANIFEST
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


# What a file says is checked before it is believed


def theirs_saved(base: MiniLM, folder, **options) -> None:
    """A LoRA of rank 3 on `c_attn` and `c_fc`, as `peft` writes it."""
    settings = peft.LoraConfig(
        r=3,
        lora_alpha=7,
        target_modules=["c_attn", "c_fc"],
        fan_in_fan_out=True,
        task_type="CAUSAL_LM",
        **options,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peft.get_peft_model(to_transformers(base), settings).save_pretrained(str(folder))


SPOILED = {
    "no rank": (lambda c: c.pop("r"), "r must be a number from 1"),
    "rank a text": (lambda c: c.update(r="3"), "r must be a number from 1 .* not '3'"),
    "rank huge": (lambda c: c.update(r=3_000_000), "should hold"),
    "alpha a list": (lambda c: c.update(lora_alpha=[7]), r"lora_alpha must be a number .* not \[7\]"),
    "alpha not finite": (
        lambda c: c.update(lora_alpha=float("nan")),
        "lora_alpha must be a number .* not nan",
    ),
    "dropout": (lambda c: c.update(lora_dropout=2), "lora_dropout must be a number from 0"),
    "patterns a list": (lambda c: c.update(rank_pattern=["c_fc"]), "rank_pattern must be an object"),
    "pattern broken": (lambda c: c.update(rank_pattern={"(": 5}), "'\\(' is not a pattern that can be used"),
    "pattern without end": (lambda c: c.update(rank_pattern={r"(.|.)*[^\w]": 5}), "is not a pattern"),
    "too many patterns": (
        lambda c: c.update(alpha_pattern=dict.fromkeys(map(str, range(2000)), 1)),
        "at most 1000",
    ),
    "rank of a pattern": (lambda c: c.update(rank_pattern={"c_fc": "5"}), "c_fc must be a number"),
    "one layer apart": (
        lambda c: c.update(alpha_pattern={"h.1.mlp.c_fc": 9}),
        "another rank or alpha in some layers",
    ),
    "start that changes the base": (lambda c: c.update(init_lora_weights="pissa"), "changes the base itself"),
    "another kind": (lambda c: c.update(peft_type="IA3"), "holds a 'IA3' adapter"),
    "kind a list": (lambda c: c.update(peft_type=["LORA"]), r"holds a \['LORA'\] adapter"),
}


@pytest.mark.parametrize(("change", "complaint"), SPOILED.values(), ids=SPOILED.keys())
def test_a_spoiled_configuration_is_refused(base, tmp_path, change, complaint):
    theirs_saved(base, tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    change(config)
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match=complaint):
        load_peft(base, tmp_path)
    assert all(weight.requires_grad for weight in base.parameters())


def test_a_pattern_of_the_whole_name_is_pefts(base, tokens, tmp_path):
    theirs_saved(
        base, tmp_path, rank_pattern={r"transformer\.h\.\d+\.mlp\.c_fc": 5}, alpha_pattern={"c_fc": 2}
    )
    assert {(method.rank, method.alpha) for method in load_peft(base, tmp_path).methods.values()} == {
        (3, 7),
        (5, 2),
    }


STEM = "base_model.model.transformer.h.1."


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (
            lambda t: t.pop(STEM + "mlp.c_fc.lora_B.weight"),
            "c_fc.lora_B.weight should hold .*, but holds nothing",
        ),
        (lambda t: t.update({STEM + "mlp.c_fc.lora_A.weight": torch.ones(3, 5)}), r"but holds \(3, 5\)"),
        (
            lambda t: t.update({STEM + "mlp.c_fc.lora_magnitude_vector": torch.ones(64)}),
            "does not belong to a LoRA",
        ),
        (
            lambda t: t.update({STEM.replace("1", "9" * 40) + "mlp.c_fc.lora_A.weight": torch.ones(1)}),
            "belong",
        ),
        (lambda t: t.clear(), "has no tensors"),
    ],
)
def test_factors_that_are_missing_or_of_another_shape_are_refused(base, tmp_path, change, complaint):
    theirs_saved(base, tmp_path)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match=complaint):
        load_peft(base, tmp_path)


def test_our_own_note_is_checked_too(base, tmp_path):
    save_peft(attach_and_stir(base, LoRA(rank=2)), tmp_path)
    (tmp_path / MANIFEST).unlink()
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    for note in (
        "[" * 100_000,
        "[]",
        "{}",
        '{"settings": 3}',
        '{"settings": {"rank": "2"}}',
        '{"settings": {"x": 1}}',
    ):
        save_file(tensors, tmp_path / "adapter_model.safetensors", metadata={"minilm": note})
        with pytest.raises(CheckpointError, match="does not fit this model"):
            load_peft(base, tmp_path)
    note = json.dumps({"settings": {"rank": 2, "targets": ["query", "up"]}})
    save_file(tensors, tmp_path / "adapter_model.safetensors", metadata={"minilm": note})
    with pytest.raises(
        CheckpointError, match=r"c_attn.lora_A.weight should hold \(2, 16\), but holds \(4, 16\)"
    ):
        load_peft(base, tmp_path)


def test_a_prefix_of_other_sizes_is_refused(base, tmp_path):
    save_peft(attach_and_stir(base, Prefix(length=3, hidden=8, shift_positions=True)), tmp_path)
    (tmp_path / MANIFEST).unlink()
    right = json.loads((tmp_path / "adapter_config.json").read_text())
    for change in (
        {"num_virtual_tokens": 2 * 10**9},
        {"num_virtual_tokens": "3"},
        {"num_attention_heads": 4},
    ):
        (tmp_path / "adapter_config.json").write_text(json.dumps(right | change))
        with pytest.raises(CheckpointError, match="does not fit this model"):
            load_peft(base, tmp_path)


def test_what_is_not_finite_or_not_tuned_is_not_saved_for_peft(base, tmp_path):
    tuned = attach_and_stir(base, LoRA(rank=2))
    with torch.no_grad():
        tuned.attachments["lora"].changes["query-1"].B[0, 0] = float("nan")
    with pytest.raises(SaveError, match=r"lora_B\.weight holds NaN"):
        save_peft(tuned, tmp_path / "a")
    for wrong in (base, None, "lora"):
        with pytest.raises(ValueError, match="must be a tuned model"):
            save_peft(wrong, tmp_path / "a")
        with pytest.raises(ValueError, match="must be a"):
            to_transformers(wrong if wrong is not base else tuned)
        with pytest.raises(ValueError, match="must be a GPT2LMHeadModel"):
            from_transformers(wrong)
    for wrong in (None, "model", tuned):
        with pytest.raises(ValueError, match="model must be a MiniLM"):
            load_peft(wrong, tmp_path)
    assert not list(tmp_path.iterdir())
