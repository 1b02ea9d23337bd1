"""The names and layouts of GPT-2's published weights, translated to ours and back.

GPT-2 keeps query, key and value in one matrix and stores maps as (in, out); `MiniLM` keeps them apart and stores
(out, in) as `nn.Linear` does. Checkpoints are written in GPT-2's layout, so that there is one format: what this library
saves, `transformers` opens, and a downloaded GPT-2 opens here. This module needs only torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from minilm.model.config import ModelConfig

OUTER = {
    "token_embedding": "wte",
    "position_embedding": "wpe",
    "final_norm": "ln_f",
}
IN_BLOCK = {
    "attention_norm": "ln_1",
    "attention.output": "attn.c_proj",
    "mlp_norm": "ln_2",
    "mlp.up": "mlp.c_fc",
    "mlp.down": "mlp.c_proj",
}
TRANSPOSED = ("attention.output", "mlp.up", "mlp.down")
PREFIX = "transformer."
BUFFERS = (".attn.bias", ".attn.masked_bias", "lm_head.weight")
"""Masks and the tied head, which older files store although they follow from the rest."""


def config_to_gpt2(config: ModelConfig) -> dict[str, Any]:
    """The `config.json` that `transformers` reads for this shape."""
    return {
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "activation_function": "gelu_new",
        "vocab_size": config.vocab_size,
        "n_positions": config.context_length,
        "n_layer": config.n_layer,
        "n_head": config.n_head,
        "n_embd": config.d_model,
        "layer_norm_epsilon": config.layer_norm_epsilon,
        "embd_pdrop": config.dropout,
        "attn_pdrop": config.dropout,
        "resid_pdrop": config.dropout,
        "bos_token_id": config.vocab_size - 1,
        "eos_token_id": config.vocab_size - 1,
    }


def config_from_gpt2(settings: dict[str, Any]) -> ModelConfig:
    """The shape that a GPT-2 `config.json` describes; dropout is left at 0.

    Raises:
        ValueError: the file describes another architecture, a variant of GPT-2 that `MiniLM` is not,
            or no possible size.
    """
    if settings.get("model_type") != "gpt2":
        raise ValueError(
            f"model_type is {settings.get('model_type')!r}; MiniLM reads checkpoints of type 'gpt2'"
        )
    if missing := {"vocab_size", "n_layer", "n_head", "n_embd"} - settings.keys():
        raise ValueError(f"{min(missing)} is missing")
    config = ModelConfig(
        vocab_size=settings["vocab_size"],
        context_length=settings.get("n_positions", 1024),
        n_layer=settings["n_layer"],
        n_head=settings["n_head"],
        d_model=settings["n_embd"],
        layer_norm_epsilon=_epsilon(settings.get("layer_norm_epsilon", 1e-5)),
    )
    expected: dict[str, tuple[Any, ...]] = {
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "tie_word_embeddings": (True,),
        "add_cross_attention": (False,),
        "n_inner": (None, config.d_mlp),
    }
    for name, allowed in expected.items():
        if settings.get(name, allowed[0]) not in allowed:
            raise ValueError(f"{name}={settings[name]!r} is a variant of GPT-2 that MiniLM does not build")
    return config


def _epsilon(value: Any) -> float:
    """The value, if a LayerNorm can use it."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
        raise ValueError(f"layer_norm_epsilon must be a number between 0 and 1, not {value!r}")
    return value


def weights_to_gpt2(state: dict[str, Tensor], n_layer: int) -> dict[str, Tensor]:
    """Our state dict under GPT-2's names, each tensor contiguous."""
    renamed: dict[str, Tensor] = {}
    for ours, theirs in OUTER.items():
        renamed |= _rename(state, ours, PREFIX + theirs)
    for layer in range(n_layer):
        block, theirs = f"blocks.{layer}.", f"{PREFIX}h.{layer}."
        for name, target in IN_BLOCK.items():
            renamed |= _rename(state, block + name, theirs + target, transpose=name in TRANSPOSED)
        for kind in ("weight", "bias"):
            parts = [state[f"{block}attention.{name}.{kind}"].t() for name in ("query", "key", "value")]
            renamed[f"{theirs}attn.c_attn.{kind}"] = torch.cat(parts, dim=-1)
    return {name: tensor.contiguous() for name, tensor in renamed.items()}


def weights_from_gpt2(weights: dict[str, Tensor], n_layer: int) -> dict[str, Tensor]:
    """GPT-2's weights, with or without the `transformer.` prefix, as our state dict.

    Raises:
        ValueError: a tensor is missing, or one is left over.
    """
    weights = {
        name.removeprefix(PREFIX): tensor for name, tensor in weights.items() if not name.endswith(BUFFERS)
    }
    try:
        state = _take_all(weights, n_layer)
    except KeyError as error:
        raise ValueError(
            f"the checkpoint has no tensor {error.args[0]!r}: it is truncated or of another model"
        ) from None
    if weights:
        raise ValueError(
            f"the checkpoint has a tensor {min(weights)!r} that a GPT-2 of {n_layer} layers has not"
        )
    return state


def check_layout(config: ModelConfig, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Hold the tensors of a file, by their shapes, against a configuration; nothing is allocated for it.

    Raises:
        ValueError: a tensor is missing, left over or of another shape; the first one is named.
    """
    there = {name.removeprefix(PREFIX): shape for name, shape in shapes.items() if not name.endswith(BUFFERS)}
    if len(there) < sum(not name.endswith(BUFFERS) for name in shapes):
        raise ValueError(f"some tensors are there twice, with and without {PREFIX!r}: keep one of each")
    for name, wanted in _layout(config):
        if name not in there:
            raise ValueError(f"there is no tensor {name!r}: the file is truncated or of another model")
        if there.pop(name) != wanted:
            held = shapes.get(name, shapes.get(PREFIX + name))
            raise ValueError(f"{name} has shape {held}, but config.json asks for {wanted}")
    if there:
        raise ValueError(f"there is a tensor {min(there)!r} that a GPT-2 of {config.n_layer} layers has not")


def _layout(config: ModelConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Name and shape of every tensor of a GPT-2, without the prefix, one after the other."""
    d = config.d_model
    yield "wte.weight", (config.vocab_size, d)
    yield "wpe.weight", (config.context_length, d)
    maps = {"attn.c_attn": (d, 3 * d), "attn.c_proj": (d, d)}
    maps |= {"mlp.c_fc": (d, config.d_mlp), "mlp.c_proj": (config.d_mlp, d)}
    for layer in range(config.n_layer):
        for name in ("ln_1", "ln_2"):
            yield from ((f"h.{layer}.{name}.{kind}", (d,)) for kind in ("weight", "bias"))
        for name, (d_in, d_out) in maps.items():
            yield f"h.{layer}.{name}.weight", (d_in, d_out)
            yield f"h.{layer}.{name}.bias", (d_out,)
    yield from ((f"ln_f.{kind}", (d,)) for kind in ("weight", "bias"))


def _take_all(weights: dict[str, Tensor], n_layer: int) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}
    for ours, theirs in OUTER.items():
        state |= _rename(weights, theirs, ours, pop=True)
    for layer in range(n_layer):
        block, theirs = f"blocks.{layer}.", f"h.{layer}."
        for name, source in IN_BLOCK.items():
            state |= _rename(weights, theirs + source, block + name, transpose=name in TRANSPOSED, pop=True)
        for kind in ("weight", "bias"):
            parts = weights.pop(f"{theirs}attn.c_attn.{kind}").chunk(3, dim=-1)
            for name, part in zip(("query", "key", "value"), parts, strict=True):
                state[f"{block}attention.{name}.{kind}"] = part.t().contiguous()
    return state


def _rename(
    tensors: dict[str, Tensor], old: str, new: str, transpose: bool = False, pop: bool = False
) -> dict[str, Tensor]:
    """{new.weight, new.bias} from {old.weight, old.bias}; embeddings have no bias."""
    take = tensors.pop if pop else tensors.__getitem__
    kinds = ["weight"] if old.endswith(("embedding", "wte", "wpe")) else ["weight", "bias"]
    parts = {kind: take(f"{old}.{kind}") for kind in kinds}
    return {f"{new}.{kind}": part.t().contiguous() if transpose else part for kind, part in parts.items()}
