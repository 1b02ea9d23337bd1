"""Tuned weights on disk: a small folder that knows which base it belongs to.

`adapter.json` holds each method's name and settings and the base's fingerprint, `adapter.safetensors` the tensors that
`Attachment.stored` names, `minilm.json` the digests of both. The base is not in it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import save_file
from torch import Tensor

from minilm.checkpoints.tensors import fits
from minilm.model.config import ModelConfig
from minilm.model.model import MiniLM
from minilm.system.atomic_folder import atomic_folder, check_target
from minilm.system.errors import SaveError
from minilm.tuning.method import Attachment, Method

FORMAT, VERSION = "minilm adapter", 1
KIND = "adapter"
SETTINGS, WEIGHTS = "adapter.json", "adapter.safetensors"


class Tuned(Protocol):
    """What is looked at when a tuned model is saved."""

    methods: dict[str, Method]
    attachments: Mapping[str, Attachment]

    @property
    def config(self) -> ModelConfig: ...
    @property
    def base(self) -> MiniLM: ...


def save(tuned: Tuned, folder: str | Path) -> Path:
    """Write what has to be kept of a tuned model. Other files in the folder stay as they are.

    Raises:
        SaveError: a weight or a setting is not finite, a file there is not minilm's to replace, or the disk is full;
            what was there before is intact.
    """
    tensors = {
        f"{name}.{key}": tensor.detach().cpu().contiguous()
        for name, attachment in tuned.attachments.items()
        for key, tensor in attachment.stored().items()
    }
    check_finite(tensors, folder)
    about = json_text(description(tuned), folder)
    with atomic_folder(folder, KIND, [SETTINGS, WEIGHTS]) as draft:
        (draft / SETTINGS).write_text(about, encoding="utf-8")
        save_file(tensors, draft / WEIGHTS)
    return Path(folder)


def check_folder(folder: str | Path) -> None:
    """Say before the work whether `save` would refuse this folder.

    Raises:
        ValueError, SaveError: as `save`.
    """
    check_target(folder, KIND, [SETTINGS, WEIGHTS])


def check_finite(tensors: Mapping[str, Tensor], folder: str | Path) -> None:
    """Refuse to save weights that are not finite."""
    for name, tensor in tensors.items():
        if not fits(tensor, torch.float32):
            raise SaveError(f"nothing was saved in {folder}: {name} holds NaN or infinite numbers")


def json_text(content: dict[str, Any], folder: str | Path) -> str:
    """Settings as JSON; numbers that are not finite are refused."""
    try:
        return json.dumps(content, indent=2, allow_nan=False) + "\n"
    except (ValueError, TypeError) as error:
        raise SaveError(f"nothing was saved in {folder}: a setting cannot be written ({error})") from None


def description(tuned: Tuned) -> dict[str, Any]:
    """What `adapter.json` says."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "methods": {
            key: {"method": method.name, "settings": method.settings()}
            for key, method in tuned.methods.items()
        },
        "base": {"shape": asdict(tuned.config), "fingerprint": fingerprint(tuned.base)},
    }


def fingerprint(model: MiniLM) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of all weights, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).float().numpy().tobytes())
    return digest.hexdigest()[:16]
