"""Tuned weights on disk: a small folder that knows which base it belongs to.

`adapter.json` holds each method's name and settings and the base's fingerprint, `adapter.safetensors` the tensors that
`Attachment.stored` names. The base is not in it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from minilm.checkpoint import CheckpointError, read_json, read_tensors
from minilm.files import atomic_folder
from minilm.model import MiniLM
from minilm.tuning.method import Method
from minilm.tuning.registry import METHODS
from minilm.tuning.tuned import TunedModel, detached_on_error

FORMAT = "minilm adapter"


def save(tuned: TunedModel, folder: str | Path) -> Path:
    """Write what has to be kept of a tuned model, atomically.

    Raises:
        SaveError: the disk is full or not writable; what was there before is intact.
    """
    tensors = {
        f"{name}.{key}": tensor.detach().cpu().contiguous()
        for name, attachment in tuned.attachments.items()
        for key, tensor in attachment.stored().items()
    }
    with atomic_folder(folder) as draft:
        (draft / "adapter.json").write_text(json.dumps(description(tuned), indent=2) + "\n", encoding="utf-8")
        save_file(tensors, draft / "adapter.safetensors")
    return Path(folder)


def description(tuned: TunedModel) -> dict[str, Any]:
    """What `adapter.json` says."""
    return {
        "format": FORMAT,
        "methods": {
            key: {"method": method.name, "settings": method.settings()}
            for key, method in tuned.methods.items()
        },
        "base": {"shape": asdict(tuned.config), "fingerprint": fingerprint(tuned.base)},
    }


def load(model: MiniLM, folder: str | Path, *, check_base: bool = True) -> TunedModel:
    """Attach what `save` wrote.

    Args:
        check_base: False accepts another base of the same shape, for which the weights were not made.

    Raises:
        FileNotFoundError: the folder or a file in it is missing.
        CheckpointError: the files are truncated or foreign, or were made for another base.
    """
    folder = Path(folder)
    about = read_json(folder / "adapter.json")
    if about.get("format") != FORMAT:
        raise CheckpointError(
            f"{folder / 'adapter.json'} was not written by minilm; for peft's files, interop.load_peft"
        )
    _check_base(model, about["base"], folder, check_base)
    tuned = TunedModel(model, {key: _method(each, folder) for key, each in about["methods"].items()})
    try:
        with detached_on_error(tuned):
            _restore(tuned, read_tensors(folder / "adapter.safetensors")[0])
    except ValueError as error:
        raise CheckpointError(f"{folder}: {error}") from error
    return tuned


def _restore(tuned: TunedModel, tensors: dict[str, Tensor]) -> None:
    for name, attachment in tuned.attachments.items():
        prefix = f"{name}."
        attachment.restore(
            {key.removeprefix(prefix): each for key, each in tensors.items() if key.startswith(prefix)}
        )
    tuned.to(tuned.device)


def _method(entry: dict[str, Any], folder: Path) -> Method:
    """The method that an entry of `adapter.json` describes."""
    if entry["method"] not in METHODS:
        raise CheckpointError(f"{folder} uses {entry['method']!r}, but the methods are {', '.join(METHODS)}")
    settings = {
        key: tuple(value) if isinstance(value, list) else value for key, value in entry["settings"].items()
    }
    try:
        return METHODS[entry["method"]](**settings)
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{folder}: the settings of {entry['method']} do not fit: {error}") from error


def _check_base(model: MiniLM, base: dict[str, Any], folder: Path, check_weights: bool) -> None:
    """Refuse another shape always, other weights of the same shape if asked to."""
    ours = asdict(model.config)
    for name, value in base["shape"].items():
        if name != "dropout" and ours.get(name) != value:
            raise CheckpointError(
                f"{folder} was made for a base with {name}={value}, but this one has {ours.get(name)}"
            )
    if check_weights and fingerprint(model) != base["fingerprint"]:
        raise CheckpointError(
            f"{folder} was made for a base of this shape with other weights (fingerprint {base['fingerprint']}, here "
            f"{fingerprint(model)}): load that base, or pass check_base=False"
        )


def fingerprint(model: MiniLM) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of all weights, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).float().numpy().tobytes())
    return digest.hexdigest()[:16]
