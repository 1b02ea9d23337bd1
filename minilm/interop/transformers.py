"""To and from `transformers`: the same weights, the same logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from minilm.checkpoints.gpt2_layout import (
    config_from_gpt2,
    config_to_gpt2,
    weights_from_gpt2,
    weights_to_gpt2,
)
from minilm.model.model import MiniLM
from minilm.model.plain import as_minilm

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel


def from_transformers(gpt2: GPT2LMHeadModel) -> MiniLM:
    """A `MiniLM` with the weights of a `GPT2LMHeadModel`, in eval mode.

    Raises:
        ValueError: the model is not a GPT-2, or a variant of it that `MiniLM` does not build.
    """
    if not hasattr(getattr(gpt2, "config", None), "to_dict"):
        raise ValueError(f"gpt2 must be a GPT2LMHeadModel of transformers, not {type(gpt2).__name__}")
    config = config_from_gpt2(gpt2.config.to_dict())
    model = MiniLM(config)
    weights = {name: tensor.detach().clone() for name, tensor in gpt2.state_dict().items()}
    model.load_state_dict(weights_from_gpt2(weights, config.n_layer))
    return model.to(gpt2.device).eval()


def to_transformers(model: MiniLM) -> GPT2LMHeadModel:
    """A `GPT2LMHeadModel` with the weights of a `MiniLM`, in eval mode.

    Raises:
        ValueError: the model is not a `MiniLM`.
    """
    model = as_minilm(model)
    from transformers import GPT2Config, GPT2LMHeadModel

    settings = config_to_gpt2(model.config)
    del settings["architectures"], settings["model_type"]
    gpt2 = GPT2LMHeadModel(GPT2Config(**settings))
    weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    missing, unexpected = gpt2.load_state_dict(weights_to_gpt2(weights, model.config.n_layer), strict=False)
    if unexpected or set(missing) - {"lm_head.weight"}:
        raise RuntimeError(
            f"this version of transformers names GPT-2's weights differently: {missing or unexpected}"
        )
    with torch.no_grad():
        gpt2.tie_weights()
    return gpt2.to(model.device).eval()
