"""Writing a LoRA or a prefix in the file format of `peft`, for models of GPT-2's shape.

GPT-2 keeps query, key and value in one map `c_attn`. A LoRA on some of the three becomes one of larger rank on that map:
A's columns side by side, B block by block. `peft_reading` can take the merged factors apart again, by the
settings that are written into the file's header.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from torch import Tensor

from minilm.interop.peft_layout import COMMON, CONFIG, KEY, MODULES, PROMPTS, WEIGHTS
from minilm.model.plain import uncompiled
from minilm.system.atomic_folder import atomic_folder
from minilm.tuning import LoRA, Prefix, TunedModel
from minilm.tuning.methods.lora import LoRAAttachment, LowRank
from minilm.tuning.methods.prefix import PrefixAttachment
from minilm.tuning.saving import check_finite, json_text

KIND = "peft adapter"


def save_peft(tuned: TunedModel, folder: str | Path) -> Path:
    """Write a tuned model that has one LoRA or one prefix attached, so that `peft` can load it.

    Raises:
        ValueError: it is not a tuned model, something else is attached, or a prefix whose positions `peft` would number differently.
        SaveError: a weight or a setting is not finite, a file there is not minilm's to replace, or the disk is full.
    """
    tuned = uncompiled(tuned)
    if not isinstance(tuned, TunedModel):
        raise ValueError(
            f"tuned must be a tuned model, not {type(tuned).__name__}: attach a LoRA or a prefix"
        )
    [method, *more], [attachment, *_] = tuned.methods.values(), tuned.attachments.values()
    if more or not isinstance(method, LoRA | Prefix):
        raise ValueError(f"peft's format holds one LoRA or one prefix, not {', '.join(tuned.methods)}")
    if isinstance(method, LoRA):
        config, tensors = _lora_out(method, cast(LoRAAttachment, attachment))
    else:
        config, tensors = _prefix_out(method, cast(PrefixAttachment, attachment), tuned)
    check_finite(tensors, folder)
    about = json_text(COMMON | config, folder)
    metadata = {"format": "pt", "minilm": json.dumps({"settings": asdict(method)})}
    with atomic_folder(folder, KIND, [CONFIG, WEIGHTS]) as draft:
        (draft / CONFIG).write_text(about, encoding="utf-8")
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, draft / WEIGHTS, metadata)
    return Path(folder)


def _lora_out(method: LoRA, attachment: LoRAAttachment) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and tensors of a LoRA."""
    tensors = {}
    targets = {
        module: [site for site in sites if site in method.targets] for module, sites in MODULES.items()
    }
    targets = {module: sites for module, sites in targets.items() if sites}
    n_layer = len(attachment.changes) // len(method.targets)
    for layer in range(n_layer):
        for module, sites in targets.items():
            for (factor, kind), tensor in _fuse(method, attachment, layer, module, sites).items():
                tensors[KEY.format(layer=layer, module=module, factor=factor, kind=kind)] = tensor
    ranks = {module: method.rank * len(sites) for module, sites in targets.items()}
    config = {
        "peft_type": "LORA",
        "r": method.rank,
        "lora_alpha": method.scale * method.rank,
        "lora_dropout": method.dropout,
        "lora_bias": method.bias,
        "bias": "none",
        "fan_in_fan_out": True,
        "target_modules": list(targets),
        "rank_pattern": ranks,
        "alpha_pattern": {module: method.scale * rank for module, rank in ranks.items()},
    }
    return config, tensors


def _fuse(
    method: LoRA, attachment: LoRAAttachment, layer: int, module: str, sites: list[str]
) -> dict[tuple[str, str], Tensor]:
    """The changes of all sites in one of GPT-2's maps as one change of it; `peft` holds factors transposed."""
    changes = {site: cast(LowRank, attachment.changes[f"{site}-{layer}"]) for site in sites}
    some = changes[sites[0]].B
    places = MODULES[module]
    shape = len(places) * some.size(1), len(sites) * method.rank  # (d_out, k r)
    blocks = torch.zeros(shape, dtype=some.dtype)
    bias = torch.zeros(blocks.size(0), dtype=some.dtype)
    for number, (site, change) in enumerate(changes.items()):
        rows = slice(places.index(site) * some.size(1), (places.index(site) + 1) * some.size(1))
        blocks[rows, number * method.rank : (number + 1) * method.rank] = change.B.detach().T.cpu()
        if change.bias is not None:
            bias[rows] = change.bias.detach().cpu() / method.scale  # peft scales its bias too
    joined = torch.cat([change.A.detach().T.cpu() for change in changes.values()])  # (k r, d_in)
    fused = {("A", "weight"): joined, ("B", "weight"): blocks}
    return fused | ({("B", "bias"): bias} if method.bias else {})


def _prefix_out(
    method: Prefix, attachment: PrefixAttachment, tuned: TunedModel
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Configuration and tensors of a prefix."""
    if not method.shift_positions:
        raise ValueError(
            "peft numbers the text from the prefix's length on, this prefix from 0, and its logits would differ: "
            "train it with Prefix(shift_positions=True) to save it for peft"
        )
    slots = attachment.stored()["slots"].cpu()  # (L, 2, H, l, p)
    config = {
        "peft_type": "PREFIX_TUNING",
        "num_virtual_tokens": method.length,
        "token_dim": tuned.config.d_model,
        "num_layers": tuned.config.n_layer,
        "num_attention_heads": tuned.config.n_head,
        "num_transformer_submodules": 1,
        "encoder_hidden_size": tuned.config.d_model,
        "prefix_projection": False,
    }
    return config, {PROMPTS: slots.permute(3, 0, 1, 2, 4).flatten(1)}  # (l, L 2 d)
