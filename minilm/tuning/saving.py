"""Tuned weights on disk: a small folder that knows which base it belongs to.

`adapter.json` holds each method's name and settings and the base's fingerprint, `adapter.safetensors` the tensors that
`Attachment.stored` names. The base is not in it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors.torch import save_file

from minilm.model.model import MiniLM
from minilm.system.atomic import atomic_folder

if TYPE_CHECKING:
    from minilm.tuning.tuned import TunedModel

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


def fingerprint(model: MiniLM) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of all weights, in the order of their names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).float().numpy().tobytes())
    return digest.hexdigest()[:16]
