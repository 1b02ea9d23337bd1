"""Reading tuned weights back, onto the base that they were made for.

What a file says is checked before it is believed: its digest, the types of all settings, and the sizes, which are held
against the tensors that are really there before anything is allocated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minilm.checkpoints.tensors import CheckpointError, read_json, read_shapes, read_weights
from minilm.model.blank import BlankWeights
from minilm.model.config import ModelConfig
from minilm.model.model import MiniLM
from minilm.model.plain import as_minilm
from minilm.system.atomic_folder import read_folder
from minilm.system.places import as_path
from minilm.tuning.method import Method, check_shapes
from minilm.tuning.saved_settings import brief, method_from
from minilm.tuning.saving import FORMAT, SETTINGS, VERSION, WEIGHTS, fingerprint
from minilm.tuning.tuned import TunedModel, detached_on_error

SIZES = ("vocab_size", "context_length", "n_layer", "n_head", "d_model")
"""What a file must say of its base."""
LARGEST_SETTINGS = 1 << 20
"""Bytes of `adapter.json`; it usually has one or two thousand."""


def load(model: MiniLM, folder: str | Path, *, check_base: bool = True) -> TunedModel:
    """Attach what `save` wrote.

    Args:
        check_base: False accepts another base of the same shape, for which the weights were not made.

    Raises:
        ValueError: the model is not a `MiniLM`, or the folder has no name.
        FileNotFoundError: the folder or a file in it is missing.
        CheckpointError: the files are truncated, changed or foreign, or were made for another base.
    """
    model = as_minilm(model)

    def read(folder: Path) -> tuple[dict[str, Method], dict[str, Tensor]]:
        try:
            methods = _methods(model, folder, check_base)
            check_sizes(model, methods, read_shapes(folder / WEIGHTS))
        except CheckpointError:
            raise
        except ValueError as error:
            raise CheckpointError(f"{folder}: {error}") from error
        return methods, read_weights(folder / WEIGHTS)

    methods, tensors = read_folder(as_path(folder, "folder"), (SETTINGS, WEIGHTS), read)
    try:
        return restored(model, methods, tensors)
    except ValueError as error:
        raise CheckpointError(f"{folder}: {error}") from error


def restored(model: MiniLM, methods: Mapping[str, Method], tensors: Mapping[str, Tensor]) -> TunedModel:
    """Methods attached to a base with weights that `check_sizes` has passed.

    Raises:
        ValueError: the methods leave the base no room for text.
    """
    with BlankWeights():
        tuned = TunedModel(model, {name: method.as_stored() for name, method in methods.items()})
    with detached_on_error(tuned):
        for name, attachment in tuned.attachments.items():
            start = f"{name}."
            own = {key.removeprefix(start): each for key, each in tensors.items() if key.startswith(start)}
            attachment.restore(own)
            attachment.to(precision_stored(own))
        tuned.to(tuned.device)  # which looks anew at the precision of what was restored
    tuned.methods = dict(methods)
    return tuned


def precision_stored(tensors: Mapping[str, Tensor]) -> torch.dtype | None:
    """The precision that a method's weights were saved in; None where nothing was."""
    return next((each.dtype for each in tensors.values()), None)


def check_sizes(model: MiniLM, methods: Mapping[str, Method], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Hold what the methods would store against the tensors of a file; nothing of their size is allocated.

    Raises:
        ValueError: a tensor is missing, left over or of another shape, or the settings do not fit the base.
    """
    layers = [getattr(method, "n_layer", 0) for method in methods.values()]
    if len(methods) > len(shapes) or max(layers, default=0) > len(shapes):
        raise ValueError(f"its settings ask for more than the {len(shapes)} tensors that are there")
    wanted = {
        f"{name}.{key}": shape
        for name, method in methods.items()
        for key, shape in _stored_shapes(model.config, method).items()
    }
    check_shapes(wanted, {name: torch.empty(shape, device="meta") for name, shape in shapes.items()})


@lru_cache(maxsize=64)
def _stored_shapes(config: ModelConfig, method: Method) -> dict[str, torch.Size]:
    """What a method stores on a base of this shape, found without memory for either."""
    try:
        with torch.device("meta"), BlankWeights():
            attachment = method.as_stored().build(MiniLM(config)).eval()
    except (TypeError, RuntimeError, OverflowError) as error:
        raise ValueError(f"its settings do not fit this base: {error}") from error
    return {name: tensor.shape for name, tensor in attachment.stored().items()}


def _methods(model: MiniLM, folder: Path, check_base: bool) -> dict[str, Method]:
    """The methods that `adapter.json` describes, if they were made for this base."""
    path = folder / SETTINGS
    if path.is_file() and path.stat().st_size > LARGEST_SETTINGS:
        raise ValueError(f"{SETTINGS} has {path.stat().st_size:,} bytes, more than settings take")
    about = read_json(path)
    if about.get("format") != FORMAT:
        raise CheckpointError(f"{path} was not written by minilm; for peft's files, interop.load_peft")
    if about.get("version", VERSION) != VERSION:
        raise ValueError(
            f"{SETTINGS} has version {brief(about['version'])}, minilm reads {VERSION}: update minilm"
        )
    _check_base(model, about.get("base"), check_base)
    methods = about.get("methods")
    if not isinstance(methods, dict) or not methods:
        raise ValueError(f"{SETTINGS} needs 'methods', an object that is not empty, not {brief(methods)}")
    return {_name(name): method_from(entry) for name, entry in methods.items()}


def _name(name: str) -> str:
    """The name, if an attachment can bear it."""
    if not name or "." in name or hasattr(nn.ModuleDict(), name):
        raise ValueError(
            f"{brief(name)} cannot be the name of an attachment: it is empty, reserved or has a dot"
        )
    return name


def _check_base(model: MiniLM, base: Any, check_weights: bool) -> None:
    """Refuse another shape always, other weights of the same shape if asked to."""
    shape = base.get("shape") if isinstance(base, dict) else None
    if not isinstance(shape, dict) or not shape.keys() >= set(SIZES):
        raise ValueError(
            f"{SETTINGS} does not say for which base it was made: it needs base.shape with {SIZES}"
        )
    ours = asdict(model.config)
    for name, value in shape.items():
        if name != "dropout" and ours.get(name) != value:
            raise ValueError(f"made for a base with {name}={brief(value)}, but this one has {ours.get(name)}")
    if check_weights and (here := fingerprint(model)) != base.get("fingerprint"):
        raise ValueError(
            f"made for a base of this shape with other weights (fingerprint {brief(base.get('fingerprint'))}, here "
            f"{here}): load that base, or pass check_base=False"
        )
