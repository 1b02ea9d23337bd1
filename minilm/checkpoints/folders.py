"""Models on disk: safetensors and JSON, written as a whole, nothing ever unpickled.

A pretrained model is a folder in GPT-2's published layout: `config.json`, `model.safetensors`, `tokenizer.json`, and a
card `README.md`. The folder also holds `minilm.json` with the size and the SHA-256 of each; see `minilm.system.manifest`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from minilm.checkpoints.finding import GPT2_FILES, find_checkpoint
from minilm.checkpoints.gpt2_layout import (
    BUFFERS,
    check_layout,
    config_from_gpt2,
    config_to_gpt2,
    weights_from_gpt2,
    weights_to_gpt2,
)
from minilm.checkpoints.tensors import WEIGHT_TYPES, fits, read_shapes, read_weights
from minilm.model.blank import BlankWeights
from minilm.model.config import ModelConfig
from minilm.model.model import MiniLM
from minilm.model.plain import as_minilm
from minilm.system.atomic_folder import atomic_folder, check_target, read_folder
from minilm.system.devices import resolve_device
from minilm.system.errors import CheckpointError, SaveError
from minilm.system.json_files import read_json
from minilm.system.paths import BUNDLED
from minilm.text.tokenizer import BPETokenizer

__all__ = [
    "BUNDLED",
    "CheckpointError",
    "check_folder",
    "find_checkpoint",
    "load_pretrained",
    "read_config",
    "save_card",
    "save_pretrained",
]

KIND, CARD = "model", "README.md"


def save_pretrained(
    folder: str | Path,
    model: MiniLM,
    tokenizer: BPETokenizer,
    card: str | None = None,
    dtype: torch.dtype | None = None,
) -> Path:
    """Write model and tokenizer to a folder that `load_pretrained` and `transformers` can open.

    Other files in the folder stay as they are. An earlier model that was saved there is replaced as a whole.

    Args:
        card: Markdown text for `README.md`: what the model is, how it was made, how good it is.
        dtype: store the weights in this precision, for instance `torch.float16`.

    Raises:
        ValueError: an argument is not of the right kind.
        SaveError: the weights are not finite or too large for `dtype`, a file there is not minilm's to replace, or
            the disk is full; what was there before is intact.
    """
    model = as_minilm(model)
    _check_arguments(tokenizer, card)
    weights = _weights_to_save(model, dtype, folder)
    with atomic_folder(folder, KIND, _names(card is not None)) as draft:
        save_file(weights, draft / "model.safetensors", metadata={"format": "pt"})
        config = json.dumps(config_to_gpt2(model.config), indent=2) + "\n"
        (draft / "config.json").write_text(config, encoding="utf-8")
        (draft / "tokenizer.json").write_bytes(tokenizer.to_bytes())
        if card is not None:
            (draft / CARD).write_text(card, encoding="utf-8")
    return Path(folder)


def save_card(folder: str | Path, card: str) -> Path:
    """Write the card of a model that was saved before; its other files stay as they are.

    Raises:
        SaveError: a `README.md` is there that is not minilm's, or the disk is full.
    """
    with atomic_folder(folder, KIND, [CARD], keep=True) as draft:
        (draft / CARD).write_text(card, encoding="utf-8")
    return Path(folder)


def check_folder(folder: str | Path) -> None:
    """Say before the work whether `save_pretrained` would refuse this folder.

    Raises:
        ValueError, SaveError: as `save_pretrained`.
    """
    check_target(folder, KIND, _names(with_card=True))


def _names(with_card: bool) -> tuple[str, ...]:
    """The files of a model."""
    return (*GPT2_FILES, CARD) if with_card else GPT2_FILES


def _check_arguments(tokenizer: object, card: object) -> None:
    """Refuse what is not a tokenizer, or not a card."""
    if not isinstance(tokenizer, BPETokenizer):
        raise ValueError(f"tokenizer must be a BPETokenizer, not {type(tokenizer).__name__}")
    if card is not None and not isinstance(card, str):
        raise ValueError(f"card must be a Markdown text, not {type(card).__name__}")


def _weights_to_save(model: MiniLM, dtype: torch.dtype | None, folder: str | Path) -> dict[str, Tensor]:
    """The weights in GPT-2's layout, on the CPU, in the precision that is asked for."""
    if dtype is not None and dtype not in WEIGHT_TYPES:
        known = ", ".join(map(str, WEIGHT_TYPES))
        raise ValueError(f"dtype must be one of {known}, not {dtype!r}")
    weights = weights_to_gpt2(model.state_dict(), model.config.n_layer)
    for name, tensor in weights.items():
        if not fits(tensor, dtype or tensor.dtype):
            within = f" or numbers too large for {dtype}" if dtype else ""
            raise SaveError(
                f"nothing was saved in {folder}: {name} holds NaN or infinite numbers{within}; what was there is intact"
            )
    return {name: tensor.to("cpu", dtype or tensor.dtype) for name, tensor in weights.items()}


def load_pretrained(name: str | Path, device: str = "cpu") -> tuple[MiniLM, BPETokenizer]:
    """A model in eval mode and its tokenizer.

    Args:
        name: a bundled checkpoint ("storyworld"), "gpt2" (downloaded once), or a folder.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        CheckpointError: a file in it is truncated, changed, malformed, or of another kind of model.
        ValueError: this machine has no such device.
    """
    folder = find_checkpoint(name)
    target = resolve_device(device)
    model, tokenizer = read_folder(folder, GPT2_FILES, _read)
    return model.to(target).eval(), tokenizer


def _read(folder: Path) -> tuple[MiniLM, BPETokenizer]:
    """Model and tokenizer; sizes are compared before anything of their size is allocated."""
    config = read_config(folder)
    path = folder / "model.safetensors"
    shapes = read_shapes(path)
    with _errors_name(path):
        check_layout(config, shapes)
    weights = read_weights(path, BUFFERS)
    with BlankWeights():
        model = MiniLM(config)
    model.load_state_dict(weights_from_gpt2(weights, config.n_layer))
    return model, _load_tokenizer(folder / "tokenizer.json", config.vocab_size)


def read_config(folder: Path) -> ModelConfig:
    """The shape of the model in a folder.

    Raises:
        FileNotFoundError, CheckpointError: there is no `config.json`, or it does not describe a `MiniLM`.
    """
    path = folder / "config.json"
    settings = read_json(path)
    with _errors_name(path):
        return config_from_gpt2(settings)


def _load_tokenizer(path: Path, vocab_size: int) -> BPETokenizer:
    """The tokenizer, if all of its ids are among the model's."""
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; a checkpoint folder holds {', '.join(GPT2_FILES)}")
    tokenizer = BPETokenizer.load(path)
    if tokenizer.vocab_size > vocab_size:
        raise CheckpointError(
            f"{path} has {tokenizer.vocab_size} tokens, but the model only {vocab_size}: they do not belong together"
        )
    return tokenizer


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """A ValueError about a file's content becomes a `CheckpointError` that says which file it is."""
    try:
        yield
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
