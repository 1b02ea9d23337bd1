"""Reading a LoRA or a prefix in the file format of `peft`, for models of GPT-2's shape.

A file from `peft` itself, whose one A serves query, key and value, is read as three LoRAs with equal A; a file that
`save_peft` wrote says in its header how the three were. All sizes are held against the base before any is allocated.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import regex
import torch
from torch import Tensor

from minilm.checkpoints.tensors import CheckpointError, opened, read_json, read_shapes, read_weights
from minilm.interop.peft_layout import CONFIG, KEY, LORA_KEY, MODULES, PROMPTS, WEIGHTS, module_of
from minilm.model.model import MiniLM
from minilm.model.plain import as_minilm
from minilm.system.atomic_folder import read_folder
from minilm.system.json_files import parse_json
from minilm.system.places import as_path
from minilm.tuning import LoRA, Prefix, TunedModel, attach
from minilm.tuning.linear_maps import linear_at
from minilm.tuning.methods.lora import LoRAAttachment, LowRank
from minilm.tuning.saved_settings import brief, checked_settings
from minilm.tuning.tuned import detached_on_error

MOST_PATTERNS = 1000
"""Entries of `rank_pattern` or `alpha_pattern`."""
CHANGES_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Ways to initialise a LoRA that also change the base's own weights, which the file does not hold."""


def load_peft(model: MiniLM, folder: str | Path) -> TunedModel:
    """Attach a LoRA or a prefix that `peft` saved for a model of GPT-2's shape.

    Raises:
        ValueError: the model is not a `MiniLM`, or the folder has no name.
        FileNotFoundError: a file is missing.
        CheckpointError: the files are truncated, changed, of another kind of adapter, or made for another shape.
    """
    model = as_minilm(model)

    def read(folder: Path) -> tuple[Mapping[str, LoRA] | Prefix, dict[str, Tensor], bool]:
        config, shapes = read_json(folder / CONFIG), read_shapes(folder / WEIGHTS)
        kind = config.get("peft_type")
        if kind not in ("LORA", "PREFIX_TUNING"):
            raise CheckpointError(
                f"{folder} holds a {brief(kind)} adapter; those that can be read are LORA, PREFIX_TUNING"
            )
        try:
            own = _own_settings(folder / WEIGHTS)
            method = (
                _lora_in(model, config, shapes, own) if kind == "LORA" else _prefix_in(model, config, shapes)
            )
        except ValueError as error:
            raise CheckpointError(f"{folder} does not fit this model: {error}") from error
        return method, read_weights(folder / WEIGHTS), own is not None

    method, tensors, separate = read_folder(as_path(folder, "folder"), (CONFIG, WEIGHTS), read)
    return (
        _with_slots(model, method, tensors)
        if isinstance(method, Prefix)
        else _with_factors(model, method, tensors, separate)
    )


def _own_settings(path: Path) -> dict[str, Any] | None:
    """The settings that `save_peft` wrote into the header; None in files of other origin."""
    with opened(path) as file:
        note = (file.metadata() or {}).get("minilm")
    about = parse_json(note) if note else {"settings": None}
    if not isinstance(about, dict) or "settings" not in about:
        raise ValueError(f"the note in {path.name}'s header has no settings: it is damaged")
    settings: dict[str, Any] | None = about["settings"]
    return settings


def _number(config: Mapping[str, Any], name: str, kind: type, least: float, most: float) -> Any:
    """A number of the configuration.

    Raises:
        ValueError: it is missing, of another type, or out of range.
    """
    value: Any = config.get(name)
    fits = type(value) is int or (kind is float and type(value) is float)
    if not fits or not least <= value <= most:
        raise ValueError(f"{CONFIG}: {name} must be a number from {least:g} to {most:g}, not {brief(value)}")
    return value


def _prefix_in(model: MiniLM, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> Prefix:
    """The prefix that a configuration describes, if the file's only tensor has its shape."""
    shape = model.config
    length = _number(config, "num_virtual_tokens", int, 1, shape.context_length - 1)
    heads = config.get("num_attention_heads", shape.n_head)
    if heads != shape.n_head:
        raise ValueError(f"it was made for {brief(heads)} attention heads, and this model has {shape.n_head}")
    wanted = {PROMPTS: (length, shape.n_layer * 2 * shape.d_model)}
    if shapes != wanted:
        raise ValueError(f"it should hold {wanted}, but holds {brief(dict(shapes))}")
    return Prefix(length, reparameterize=False, shift_positions=True)


def _with_slots(model: MiniLM, method: Prefix, tensors: Mapping[str, Tensor]) -> TunedModel:
    """A prefix with its keys and values (l, L 2 d)."""
    shape = model.config
    layout = (method.length, shape.n_layer, 2, shape.n_head, shape.head_size)
    slots = tensors[PROMPTS].view(layout).permute(1, 2, 3, 0, 4)  # (L, 2, H, l, p)
    tuned = attach(model, method)
    with detached_on_error(tuned):
        tuned.attachments["prefix"].restore({"slots": slots.contiguous().to(model.device)})
    return tuned


@dataclass(frozen=True)
class _Map:
    """What `peft` says of one of GPT-2's maps."""

    rank: int
    alpha: float


def _lora_in(
    model: MiniLM, config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]], own: Any
) -> dict[str, LoRA]:
    """A LoRA for all maps of equal rank and scale, if every factor has its shape."""
    start = config.get("init_lora_weights", True)
    if isinstance(start, str) and start.lower().startswith(CHANGES_BASE):
        raise ValueError(
            f"init_lora_weights={start!r} changes the base itself: convert it to a plain LoRA with peft"
        )
    modules = _modules(shapes)
    if own is not None:
        methods = {"lora": LoRA(**checked_settings(LoRA, own))}
    else:
        methods = _methods(config, {module: _map_of(config, module, model) for module in modules})
    wanted = dict(
        part
        for layer in range(model.config.n_layer)
        for module in {module_of(site): None for method in methods.values() for site in method.targets}
        for part in _factor_shapes(model, layer, module, methods, own is not None).items()
    )
    for name in [*wanted, *(name for name in shapes if name not in wanted)]:
        if shapes.get(name) != wanted.get(name):
            there, asked = shapes.get(name, "nothing"), wanted.get(name, "nothing")
            raise ValueError(f"{name} should hold {asked}, but holds {there}")
    return methods


def _modules(shapes: Mapping[str, Any]) -> list[str]:
    """The maps of GPT-2 that a file changes."""
    modules = set()
    for name in shapes:
        match = LORA_KEY.fullmatch(name)
        if not match or match[2] not in MODULES:
            raise ValueError(f"{brief(name)} does not belong to a LoRA of a linear map of GPT-2")
        modules.add(match[2])
    if not modules:
        raise ValueError(f"{WEIGHTS} has no tensors")
    return sorted(modules)


def _factor_shapes(
    model: MiniLM, layer: int, module: str, methods: Mapping[str, LoRA], separate: bool
) -> dict[str, tuple[int, ...]]:
    """Name and shape of the factors of one map: A (r, d_in), B (d_out, r) and, with a bias, b (d_out)."""
    sites = MODULES[module]
    method = next(each for each in methods.values() if set(sites) & set(each.targets))
    linear = linear_at(model, sites[0], layer)
    rank = method.rank * (len(set(sites) & set(method.targets)) if separate else 1)
    d_in, d_out = linear.in_features, linear.out_features * len(sites)
    shapes: dict[tuple[str, str], tuple[int, ...]] = {("A", "weight"): (rank, d_in)}
    shapes["B", "weight"] = (d_out, rank)
    if method.bias:
        shapes["B", "bias"] = (d_out,)
    return {
        KEY.format(layer=layer, module=module, factor=factor, kind=kind): shape
        for (factor, kind), shape in shapes.items()
    }


def _map_of(config: Mapping[str, Any], module: str, model: MiniLM) -> _Map:
    """Rank and alpha of a map, where `peft` lets patterns override the common ones; the same in all layers."""
    layers = range(model.config.n_layer)
    found = {
        _Map(
            _pick(config, "rank_pattern", f"transformer.h.{layer}.{module}", "r"),
            _pick(config, "alpha_pattern", f"transformer.h.{layer}.{module}", "lora_alpha"),
        )
        for layer in layers
    }
    if len(found) > 1:
        raise ValueError(
            f"{CONFIG} gives {module} another rank or alpha in some layers, which minilm cannot hold"
        )
    return found.pop()


def _pick(config: Mapping[str, Any], patterns: str, full_name: str, common: str) -> Any:
    """The value of the first pattern that the map's name ends with, else the common one."""
    choices = config.get(patterns) or {}
    if not isinstance(choices, dict) or len(choices) > MOST_PATTERNS:
        raise ValueError(f"{CONFIG}: {patterns} must be an object of at most {MOST_PATTERNS} entries")
    name = next((key for key in choices if _matches(key, full_name)), None)
    kind, least = (int, 1) if common == "r" else (float, -sys.float_info.max)
    where, key = (config, common) if name is None else (choices, name)
    return _number(where, key, kind, least, 2**31 if kind is int else sys.float_info.max)


def _matches(pattern: str, full_name: str) -> bool:
    """`peft`'s rule; the pattern is foreign, so it gets a tenth of a second."""
    try:
        return regex.match(rf"(.*\.)?({pattern})$", full_name, timeout=0.1) is not None
    except (regex.error, TimeoutError, RecursionError, OverflowError) as error:
        raise ValueError(f"{CONFIG}: {brief(pattern)} is not a pattern that can be used: {error}") from None


def _methods(config: Mapping[str, Any], maps: Mapping[str, _Map]) -> dict[str, LoRA]:
    """A LoRA for each combination of rank and alpha."""
    groups: dict[_Map, list[str]] = defaultdict(list)
    for module, its in maps.items():
        groups[its].extend(MODULES[module])
    dropout = _number({"lora_dropout": 0.0, **config}, "lora_dropout", float, 0, 0.999)
    extras = {"bias": bool(config.get("lora_bias")), "rank_stabilised": bool(config.get("use_rslora"))}
    return {
        "lora" if len(groups) == 1 else f"lora-{number}": LoRA(
            its.rank, its.alpha, tuple(sites), dropout, **extras
        )
        for number, (its, sites) in enumerate(groups.items())
    }


def _with_factors(
    model: MiniLM, methods: Mapping[str, LoRA], tensors: Mapping[str, Tensor], separate: bool
) -> TunedModel:
    """The methods attached, with their factors."""
    tuned = attach(model, methods)
    with detached_on_error(tuned), torch.no_grad():
        for name, attachment in tuned.attachments.items():
            for key, change in cast(LoRAAttachment, attachment).changes.items():
                _fill(cast(LowRank, change), key, tensors, methods[name], separate)
    return tuned


def _fill(change: LowRank, key: str, tensors: Mapping[str, Tensor], method: LoRA, separate: bool) -> None:
    """Copy the factors of one site out of those of GPT-2's map."""
    site, _, layer = key.partition("-")
    module, d_out = module_of(site), change.B.size(1)
    places = MODULES[module]
    rows = slice(places.index(site) * d_out, (places.index(site) + 1) * d_out)
    together = [place for place in places if place in method.targets]
    first = together.index(site) * method.rank if separate else 0
    columns = slice(first, first + method.rank)

    def part(factor: str, kind: str) -> Tensor:
        return tensors[KEY.format(layer=layer, module=module, factor=factor, kind=kind)]

    change.A.copy_(part("A", "weight")[columns].T)
    change.B.copy_(part("B", "weight")[rows, columns].T)
    if change.bias is not None:
        change.bias.copy_(part("B", "bias")[rows] * method.scale)
