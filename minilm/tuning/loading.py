"""Reading tuned weights back, onto the base that they were made for."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from minilm.checkpoints.tensors import CheckpointError, read_json, read_tensors
from minilm.model.model import MiniLM
from minilm.tuning.method import Method
from minilm.tuning.registry import METHODS
from minilm.tuning.saving import FORMAT, fingerprint
from minilm.tuning.tuned import TunedModel, detached_on_error


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
