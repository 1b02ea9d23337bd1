"""GPT-2 in `transformers` and here: the same weights give the same numbers, in both directions and through files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from minilm import BPETokenizer, MiniLM, ModelConfig, generate, interop, load_pretrained, save_pretrained
from minilm.checkpoints.tensors import CheckpointError

transformers = pytest.importorskip("transformers")

SHAPES = {
    "one wide head": ModelConfig(vocab_size=300, context_length=80, n_layer=2, n_head=1, d_model=24),
    "narrow heads": ModelConfig(vocab_size=517, context_length=96, n_layer=5, n_head=8, d_model=32),
    "as in lesson 3": ModelConfig(vocab_size=1024, context_length=128, n_layer=4, n_head=4, d_model=128),
}


@pytest.fixture(params=SHAPES)
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return SHAPES[request.param]


def stir(model: torch.nn.Module, seed: int = 0) -> None:
    """Random weights under which attention is far from even and no bias or gain is idle."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            centre = 1.0 if parameter.dim() == 1 and name.endswith("weight") else 0.0
            parameter.copy_(centre + 0.08 * torch.randn(parameter.shape, generator=generator))


def make_gpt2(config: ModelConfig, **settings: object) -> transformers.GPT2LMHeadModel:
    """A GPT-2 of this shape with random weights, built by `transformers` alone."""
    shape = {"n_embd": config.d_model, "n_layer": config.n_layer, "n_head": config.n_head}
    sizes = {"vocab_size": config.vocab_size, "n_positions": config.context_length}
    ids = {"bos_token_id": None, "eos_token_id": None}
    gpt2 = transformers.GPT2LMHeadModel(transformers.GPT2Config(**shape, **sizes, **ids, **settings)).eval()
    stir(gpt2)
    return gpt2


def make_minilm(config: ModelConfig) -> MiniLM:
    """The same for ours."""
    model = MiniLM(config).eval()
    stir(model)
    return model


@torch.no_grad()
def assert_same(model: MiniLM, gpt2: transformers.GPT2LMHeadModel) -> None:
    """Logits within 1e-5 over a full context, and 64 greedy tokens identical."""
    config = model.config
    tokens = torch.randint(config.vocab_size, (3, config.context_length))
    ours, theirs = model(tokens).logits, gpt2(tokens).logits
    assert theirs.std() > 0.3
    assert (ours - theirs).abs().max() <= 1e-5
    prompt = tokens[:, :9]
    made = gpt2.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=64,
        min_new_tokens=64,
        do_sample=False,
        pad_token_id=0,
    )
    assert torch.equal(generate(model, prompt, 64, temperature=0), made)


def test_from_transformers(config: ModelConfig) -> None:
    gpt2 = make_gpt2(config)
    model = interop.from_transformers(gpt2)
    assert model.config == config
    assert not model.training
    assert_same(model, gpt2)


def test_to_transformers(config: ModelConfig) -> None:
    model = make_minilm(config)
    gpt2 = interop.to_transformers(model)
    assert not gpt2.training
    assert gpt2.lm_head.weight is gpt2.transformer.wte.weight
    assert_same(model, gpt2)


def test_there_and_back_is_the_same_to_the_bit(config: ModelConfig) -> None:
    model = make_minilm(config)
    back = interop.from_transformers(interop.to_transformers(model)).state_dict()
    assert all(torch.equal(tensor, back[name]) for name, tensor in model.state_dict().items())


def test_the_copies_share_no_memory() -> None:
    model = make_minilm(SHAPES["narrow heads"])
    gpt2 = interop.to_transformers(model)
    expected = gpt2(torch.arange(9)[None]).logits
    stir(model, seed=1)
    assert torch.equal(gpt2(torch.arange(9)[None]).logits, expected)


def test_gradients_agree() -> None:
    model = make_minilm(SHAPES["narrow heads"])
    gpt2 = interop.to_transformers(model)
    tokens = torch.randint(517, (2, 30))
    for forward in (model, gpt2):
        torch.nn.functional.cross_entropy(
            forward(tokens).logits[:, :-1].flatten(0, 1), tokens[:, 1:].flatten()
        ).backward()
    ours, theirs = model.blocks[2], gpt2.transformer.h[2]
    torch.testing.assert_close(ours.mlp.up.weight.grad, theirs.mlp.c_fc.weight.grad.T, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        model.token_embedding.weight.grad, gpt2.transformer.wte.weight.grad, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(
    "variant",
    [
        {"activation_function": "relu"},
        {"scale_attn_by_inverse_layer_idx": True},
        {"n_inner": 100},
        {"tie_word_embeddings": False},
        {"scale_attn_weights": False},
    ],
)
def test_variants_that_are_not_built_here_are_refused_by_name(variant: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(variant))}=.* variant"):
        interop.from_transformers(make_gpt2(SHAPES["one wide head"], **variant))


def test_another_architecture_is_refused_by_name() -> None:
    config = transformers.OPTConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, ffn_dim=8
    )
    with pytest.raises(ValueError, match="model_type is 'opt'"):
        interop.from_transformers(transformers.OPTForCausalLM(config))


@pytest.fixture(scope="module")
def tokenizer() -> BPETokenizer:
    return BPETokenizer.train(["the cat sat on the mat and the dog sat on the cat"] * 3, vocab_size=270)


def test_a_folder_that_transformers_saved_loads(tmp_path: Path, tokenizer: BPETokenizer) -> None:
    gpt2 = make_gpt2(SHAPES["one wide head"])
    gpt2.save_pretrained(tmp_path)
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer.to_tokenizers())
    fast.save_pretrained(tmp_path)
    model, loaded = load_pretrained(tmp_path)
    assert_same(model, gpt2)
    assert loaded.encode("the dog sat<|endoftext|>") == tokenizer.encode("the dog sat<|endoftext|>")


def test_a_folder_that_was_saved_here_loads_in_transformers(tmp_path: Path, tokenizer: BPETokenizer) -> None:
    model = make_minilm(SHAPES["one wide head"])
    save_pretrained(tmp_path / "model", model, tokenizer)
    gpt2, report = transformers.GPT2LMHeadModel.from_pretrained(tmp_path / "model", output_loading_info=True)
    assert not any(report.values()), report
    assert_same(model, gpt2.eval())
    assert transformers.AutoConfig.from_pretrained(tmp_path / "model").model_type == "gpt2"
    fast = transformers.AutoTokenizer.from_pretrained(tmp_path / "model")
    assert fast("the dog sat")["input_ids"] == tokenizer.encode("the dog sat")


def test_files_without_the_transformer_prefix_and_with_mask_buffers_load(
    tmp_path: Path, tokenizer: BPETokenizer
) -> None:
    """The layout of the weights that were published first."""
    from safetensors.torch import save_file

    gpt2 = make_gpt2(SHAPES["one wide head"])
    weights = {name: tensor.clone() for name, tensor in gpt2.transformer.state_dict().items()}
    weights |= {f"h.{layer}.attn.bias": torch.ones(1, 1, 80, 80).tril() for layer in range(2)}
    save_file(weights, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(gpt2.config.to_dict()))
    tokenizer.save(tmp_path / "tokenizer.json")
    assert_same(load_pretrained(tmp_path)[0], gpt2)


def test_a_folder_of_another_architecture_is_refused_by_file(tmp_path: Path) -> None:
    config = transformers.OPTConfig(
        vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, ffn_dim=8
    )
    transformers.OPTForCausalLM(config).save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"config\.json: model_type is 'opt'"):
        load_pretrained(tmp_path)
