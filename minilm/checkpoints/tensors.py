"""Tensors on disk: safetensors written atomically, each file with a digest of itself, nothing ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from minilm.system.atomic import atomic_file
from minilm.system.digests import SEAL, UNSEALED, seal_file, seal_is_intact
from minilm.system.errors import CheckpointError, SaveError
from minilm.system.json_files import parse_json, read_json
from minilm.system.places import as_path

__all__ = ["CheckpointError", "read_json", "read_shapes", "read_tensors", "read_weights", "write_tensors"]

FORMAT = "2"
"""Of files with a digest; those before it have none."""
WEIGHT_TYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
"""Types that weights may have."""
LARGEST_HEADER = 100_000_000
"""Bytes; the format's own limit."""


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """One safetensors file with the tensors, a JSON text and a digest, replaced atomically.

    Raises:
        ValueError: an argument is not of the right kind, or the metadata is more than JSON can say.
        SaveError: a floating-point tensor is not finite, or the disk is full; an earlier file is intact.
    """
    for name, tensor in _checked(tensors).items():
        if tensor.is_floating_point() and not fits(tensor, tensor.dtype):
            raise SaveError(
                f"could not save {path}: {name} holds NaN or infinite numbers; an earlier file is intact"
            )
    try:
        about = {"minilm": json.dumps(metadata), "minilm_format": FORMAT, SEAL: UNSEALED}
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"metadata must be what JSON can say, for {path}: {error}") from None
    with atomic_file(path) as draft:
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, draft, metadata=about)
        seal_file(draft, header_size(draft))


def _checked(tensors: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """The mapping, if all of its values are tensors."""
    if not isinstance(tensors, Mapping):
        raise ValueError(f"tensors must be a mapping from names to tensors, not {type(tensors).__name__}")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ValueError(f"tensors must map texts to tensors, not {name!r} to {type(tensor).__name__}")
    return tensors


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `write_tensors` wrote; the metadata is empty for files of other origin.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: it is truncated, changed, of a newer minilm, not a safetensors file, or holds NaN.
    """
    path = as_path(path)
    tensors, notes = _read(path)
    try:
        metadata = parse_json(notes.get("minilm", "{}"))
    except ValueError as error:
        raise CheckpointError(
            f"{path} has metadata that is not JSON ({error}); restore or remake it"
        ) from None
    if not isinstance(metadata, dict):
        raise CheckpointError(f"{path} has metadata that is not an object: restore or remake it")
    _check_finite({name: each for name, each in tensors.items() if each.is_floating_point()}, path)
    return tensors, metadata


def read_weights(path: Path, ignore: tuple[str, ...] = ()) -> dict[str, Tensor]:
    """The tensors of a file of weights, whoever wrote it.

    Args:
        ignore: endings of names that are left out.

    Raises:
        FileNotFoundError, CheckpointError: as `read_tensors`; also for tensors that are not floating-point.
    """
    tensors = {name: each for name, each in _read(path)[0].items() if not name.endswith(ignore)}
    for name, tensor in tensors.items():
        if tensor.dtype not in WEIGHT_TYPES:
            raise CheckpointError(
                f"{path}: {name} holds {tensor.dtype}, and weights are floating-point numbers"
            )
    _check_finite(tensors, path)
    return tensors


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and notes of a file whose digest, if it has one, is right."""
    with opened(path) as file:
        notes = file.metadata() or {}
    _check_seal(path, notes)
    with safetensors_errors(path):
        return load_file(path), notes


def _check_finite(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Refuse numbers that are not finite, or not so in the precision that models compute in."""
    for name, tensor in tensors.items():
        if not fits(tensor, torch.float32):
            raise CheckpointError(f"{path}: {name} holds NaN or infinite numbers; restore or remake the file")


def _check_seal(path: Path, notes: Mapping[str, str]) -> None:
    """Hold a file against the digest in its header; files of other origin, and old ones, have none."""
    intact = seal_is_intact(path, header_size(path))
    if intact is False or (intact is None and "minilm_format" in notes):
        raise CheckpointError(
            f"{path} is damaged: its bytes are not those that were saved (SHA-256); restore or remake it"
        )
    if intact and notes.get("minilm_format") != FORMAT:
        raise CheckpointError(
            f"{path} has format {notes.get('minilm_format')!r}, and this minilm reads {FORMAT}: update minilm"
        )


def header_size(path: Path) -> int:
    """Bytes of a safetensors file before its tensors' data; of anything else, a number that does no harm."""
    with open(path, "rb") as file:
        return 8 + min(int.from_bytes(file.read(8), "little"), LARGEST_HEADER)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """A safetensors file whose header is read and whose data is not.

    Raises:
        FileNotFoundError, CheckpointError: the file is missing, truncated, or no safetensors.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; the checkpoint is incomplete")
    with safetensors_errors(path):
        file = safe_open(path, framework="pt")
    with file:
        yield file


@contextmanager
def safetensors_errors(path: Path) -> Iterator[None]:
    """What the library says against a file becomes a `CheckpointError` that names it."""
    try:
        yield
    except (SafetensorError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is truncated or not a safetensors file ({error}); restore or remake it"
        ) from None


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of every tensor in a file of weights, from its header alone.

    Raises:
        FileNotFoundError, CheckpointError: as `read_tensors`.
    """
    with opened(path) as file, safetensors_errors(path):
        return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118


def fits(tensor: Tensor, dtype: torch.dtype) -> bool:
    """Whether all of a tensor's numbers are finite and within a floating-point type's range."""
    if tensor.numel() == 0:
        return True
    tensor = tensor.detach() if tensor.dtype in WEIGHT_TYPES else tensor.detach().float()
    low, high = (bound.item() for bound in tensor.aminmax())  # NaN wins over every number
    return -torch.finfo(dtype).max <= low and high <= torch.finfo(dtype).max
