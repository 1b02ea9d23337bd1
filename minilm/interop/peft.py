"""LoRA and prefixes in the file format of `peft`, for models of GPT-2's shape.

GPT-2 keeps query, key and value in one map `c_attn`. A LoRA on some of the three becomes one of larger rank on that map:
A's columns side by side, B block by block. What was merged that way is told apart again by the settings that are written
into the file's header; a file from `peft` itself, whose one A serves all three, is read as three with equal A.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from minilm.checkpoints.tensors import CheckpointError, read_json, read_tensors
from minilm.model.model import MiniLM
from minilm.system.atomic import atomic_folder
from minilm.tuning import LoRA, Prefix, TunedModel, attach
from minilm.tuning.methods.lora import LoRAAttachment
from minilm.tuning.methods.prefix import PrefixAttachment
from minilm.tuning.tuned import detached_on_error

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
FUSED = ("query", "key", "value")
"""The sites that share `c_attn`, in its order."""
MODULES = {"attn.c_attn": FUSED, "attn.c_proj": ("output",), "mlp.c_fc": ("up",), "mlp.c_proj": ("down",)}
"""GPT-2's map -> the sites it holds."""
LORA_KEY = re.compile(r"base_model\.model\.transformer\.h\.(\d+)\.(\w+\.\w+)\.lora_([AB])\.(weight|bias)")
KEY = "base_model.model.transformer.h.{layer}.{module}.lora_{factor}.{kind}"


def save_peft(tuned: TunedModel, folder: str | Path) -> Path:
    """Write a tuned model that has one LoRA or one prefix attached, so that `peft` can load it.

    Raises:
        ValueError: something else is attached, or a prefix that `peft` would number otherwise.
        SaveError: the disk is full or not writable.
    """
    [method, *more], [attachment, *_] = tuned.methods.values(), tuned.attachments.values()
    if more or not isinstance(method, LoRA | Prefix):
        raise ValueError(f"peft's format holds one LoRA or one prefix, not {', '.join(tuned.methods)}")
    config, tensors = (
        _lora_out(method, attachment) if isinstance(method, LoRA) else _prefix_out(method, attachment, tuned)
    )
    metadata = {"format": "pt", "minilm": json.dumps({"settings": asdict(method)})}
    with atomic_folder(folder) as draft:
        (draft / CONFIG).write_text(json.dumps(COMMON | config, indent=2) + "\n", encoding="utf-8")
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, draft / WEIGHTS, metadata)
    return Path(folder)


COMMON = {"base_model_name_or_path": None, "inference_mode": True, "task_type": "CAUSAL_LM"}


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
    changes = {site: attachment.changes[f"{site}-{layer}"] for site in sites}
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
    return config, {"prompt_embeddings": slots.permute(3, 0, 1, 2, 4).flatten(1)}  # (l, L 2 d)


def load_peft(model: MiniLM, folder: str | Path) -> TunedModel:
    """Attach a LoRA or a prefix that `peft` saved for a model of GPT-2's shape.

    Raises:
        FileNotFoundError: a file is missing.
        CheckpointError: the files are truncated, of another kind of adapter, or made for another shape.
    """
    folder = Path(folder)
    config, tensors = read_json(folder / CONFIG), read_tensors(folder / WEIGHTS)[0]
    readers = {"LORA": _lora_in, "PREFIX_TUNING": _prefix_in}
    kind = config.get("peft_type")
    if kind not in readers:
        raise CheckpointError(
            f"{folder} holds a {kind} adapter; those that can be read are {', '.join(readers)}"
        )
    try:
        return readers[kind](model, config, tensors, _own_settings(folder / WEIGHTS))
    except (ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{folder} does not fit this model: {error}") from error


def _own_settings(path: Path) -> dict[str, Any] | None:
    """The settings that `save_peft` wrote into the header; None in files of other origin."""
    with safe_open(path, framework="pt") as file:
        note = (file.metadata() or {}).get("minilm")
    return json.loads(note)["settings"] if note else None


def _prefix_in(model: MiniLM, config: dict, tensors: dict[str, Tensor], settings: dict | None) -> TunedModel:
    """A prefix, from its keys and values (l, L 2 d)."""
    length = config["num_virtual_tokens"]
    shape = model.config
    flat = tensors["prompt_embeddings"]
    slots = flat.view(length, shape.n_layer, 2, shape.n_head, shape.head_size).permute(1, 2, 3, 0, 4)
    tuned = attach(model, Prefix(length, reparameterize=False, shift_positions=True))
    with detached_on_error(tuned):
        tuned.attachments["prefix"].restore({"slots": slots.contiguous().to(model.device)})
    return tuned


@dataclass(frozen=True)
class _Map:
    """What `peft` says of one of GPT-2's maps."""

    rank: int
    alpha: float


def _lora_in(model: MiniLM, config: dict, tensors: dict[str, Tensor], settings: dict | None) -> TunedModel:
    """A LoRA: one method for all maps of equal rank and scale."""
    factors = _factors(tensors)
    modules = sorted({module for _, module in factors})
    if settings is not None:
        methods = {"lora": LoRA(**settings)}
    else:
        methods = _methods(
            config, {module: _map_of(config, module) for module in modules}, config["lora_dropout"]
        )
    tuned = attach(model, methods)
    with detached_on_error(tuned), torch.no_grad():
        for name, attachment in tuned.attachments.items():
            for key, change in attachment.changes.items():
                _fill(change, key, factors, tuned.methods[name], settings is not None)
    return tuned


def _factors(tensors: dict[str, Tensor]) -> dict[tuple[int, str], dict[str, Tensor]]:
    """(layer, GPT-2's map) -> its factors "A", "B" and perhaps "bias"."""
    factors: dict[tuple[int, str], dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        match = LORA_KEY.fullmatch(name)
        if not match or match[2] not in MODULES:
            raise ValueError(f"{name} is no LoRA of a linear map of GPT-2")
        factors[int(match[1]), match[2]]["bias" if match[4] == "bias" else match[3]] = tensor
    return factors


def _map_of(config: dict, module: str) -> _Map:
    """Rank and alpha of a map, where `peft` lets patterns override the common ones."""

    def pick(name: str, common: float) -> float:
        patterns = config.get(name) or {}
        return next((value for key, value in patterns.items() if re.search(rf"(^|\.){key}$", module)), common)

    return _Map(pick("rank_pattern", config["r"]), pick("alpha_pattern", config["lora_alpha"]))


def _methods(config: dict, maps: dict[str, _Map], dropout: float) -> dict[str, LoRA]:
    """A LoRA for each combination of rank and alpha."""
    groups: dict[_Map, list[str]] = defaultdict(list)
    for module, its in maps.items():
        groups[its].extend(MODULES[module])
    extras = {"bias": bool(config.get("lora_bias")), "rank_stabilised": bool(config.get("use_rslora"))}
    return {
        "lora" if len(groups) == 1 else f"lora-{number}": LoRA(
            its.rank, its.alpha, tuple(sites), dropout, **extras
        )
        for number, (its, sites) in enumerate(groups.items())
    }


def _fill(change, key: str, factors: dict, method: LoRA, separate: bool) -> None:
    """Copy the factors of one site out of those of GPT-2's map."""
    site, _, layer = key.partition("-")
    module = next(module for module, sites in MODULES.items() if site in sites)
    of_map, places = factors[int(layer), module], MODULES[module]
    d_out = change.B.size(1)
    rows = slice(places.index(site) * d_out, (places.index(site) + 1) * d_out)
    together = [place for place in places if place in method.targets]
    first = together.index(site) * method.rank if separate else 0
    columns = slice(first, first + method.rank)
    change.A.copy_(of_map["A"][columns].T)
    change.B.copy_(of_map["B"][rows, columns].T)
    if change.bias is not None:
        change.bias.copy_(of_map["bias"][rows] * method.scale)
