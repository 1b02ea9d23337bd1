"""Tensors and JSON on disk: safetensors written atomically, nothing ever unpickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from minilm.system.atomic import atomic_file


class CheckpointError(ValueError):
    """A file that is truncated, foreign, or of another model."""


def write_tensors(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """One safetensors file with a JSON text beside the tensors, replaced atomically."""
    with atomic_file(path) as draft:
        save_file(tensors, draft, metadata={"minilm": json.dumps(metadata)})


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote; the metadata is empty for files of other origin.

    Raises:
        FileNotFoundError, CheckpointError: the file is missing, truncated, or no safetensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; the checkpoint is incomplete")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = (file.metadata() or {}).get("minilm", "{}")
        return load_file(path), json.loads(metadata)
    except (SafetensorError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path} is truncated or no safetensors file ({error}); restore or remake it"
        ) from None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; `CheckpointError` names the file if it holds anything else."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path} is not valid JSON ({error}); restore or remake it") from None
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a JSON {type(content).__name__}, not an object of settings")
    return content
