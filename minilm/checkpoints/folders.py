"""Models on disk: safetensors and JSON, written atomically, nothing ever unpickled.

A pretrained model is a folder in GPT-2's published layout: `config.json`, `model.safetensors`,
`tokenizer.json`, and a card `README.md`. A training run is one file that holds all it takes to go on.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from minilm.checkpoints.gpt2_layout import (
    config_from_gpt2,
    config_to_gpt2,
    weights_from_gpt2,
    weights_to_gpt2,
)
from minilm.checkpoints.tensors import CheckpointError, read_json, read_tensors
from minilm.model.model import MiniLM
from minilm.system.atomic import atomic_folder
from minilm.system.devices import resolve_device
from minilm.text.tokenizer import BPETokenizer

BUNDLED = Path(__file__).resolve().parents[2] / "data"
"""Where the checkpoints that come with the course lie, a folder each."""
GPT2 = {"repo_id": "openai-community/gpt2", "revision": "607a30d783dfa663caf39e06633721c8d4cfcd7e"}
GPT2_FILES = ("config.json", "model.safetensors", "tokenizer.json")


def save_pretrained(
    folder: str | Path, model: MiniLM, tokenizer: BPETokenizer, card: str | None = None, dtype: Any = None
) -> Path:
    """Write model and tokenizer to a folder that `load_pretrained` and `transformers` can open.

    Args:
        card: Markdown text for `README.md`: what the model is, how it was made, how good it is.
        dtype: store the weights in this precision, for instance `torch.float16`.

    Raises:
        SaveError: the disk is full or not writable; an earlier folder of that name is left as it was.
    """
    weights = weights_to_gpt2(model.state_dict(), model.config.n_layer)
    weights = {name: tensor.to("cpu", dtype or tensor.dtype) for name, tensor in weights.items()}
    with atomic_folder(folder) as draft:
        (draft / "config.json").write_text(
            json.dumps(config_to_gpt2(model.config), indent=2) + "\n", encoding="utf-8"
        )
        save_file(weights, draft / "model.safetensors", metadata={"format": "pt"})
        tokenizer.save(draft / "tokenizer.json")
        if card is not None:
            (draft / "README.md").write_text(card, encoding="utf-8")
    return Path(folder)


def load_pretrained(name: str | Path, device: str = "cpu") -> tuple[MiniLM, BPETokenizer]:
    """A model in eval mode and its tokenizer.

    Args:
        name: a bundled checkpoint ("storyworld"), "gpt2" (downloaded once), or a folder.

    Raises:
        FileNotFoundError: there is no such checkpoint.
        CheckpointError: a file in it is truncated, malformed, or of another kind of model.
        ValueError: this machine has no such device.
    """
    folder = find_checkpoint(name)
    path = folder / "config.json"
    settings = read_json(path)
    with _errors_name(path):
        config = config_from_gpt2(settings)
    path = folder / "model.safetensors"
    weights = read_tensors(path)[0]
    with _errors_name(path):
        weights = weights_from_gpt2(weights, config.n_layer)
    model = MiniLM(config)
    load_weights(model, weights, path)
    tokenizer = _load_tokenizer(folder / "tokenizer.json", config.vocab_size)
    return model.to(resolve_device(device)).eval(), tokenizer


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


def find_checkpoint(name: str | Path) -> Path:
    """The folder that a name stands for; GPT-2's own weights are fetched if they are not there yet.

    `MINILM_DATA` names a folder in which to look first, and while it is set nothing is fetched.
    """
    if Path(name).is_dir():
        return Path(name)
    if (BUNDLED / name / "model.safetensors").is_file():
        return BUNDLED / name
    mirror = os.environ.get("MINILM_DATA")
    if mirror and (Path(mirror) / name / "model.safetensors").is_file():
        return Path(mirror) / name
    if str(name) == "gpt2":
        if mirror:
            raise FileNotFoundError(
                f"the mirror {mirror} (MINILM_DATA) has no folder gpt2 with {', '.join(GPT2_FILES)}; put it there, or "
                "unset MINILM_DATA to fetch GPT-2"
            )
        return _download_gpt2()
    bundled = sorted(file.parent.name for file in BUNDLED.glob("*/model.safetensors"))
    raise FileNotFoundError(f"no checkpoint {str(name)!r}: give a folder, 'gpt2', or one of {bundled}")


def load_weights(model: MiniLM, state: dict[str, Tensor], source: Path) -> None:
    """Fill a model, naming the first tensor whose shape is not the model's."""
    for name, parameter in model.state_dict().items():
        if state[name].shape != parameter.shape:
            raise CheckpointError(
                f"{source}: {name} has shape {tuple(state[name].shape)}, but its config asks for {tuple(parameter.shape)}"
            )
    model.load_state_dict(state)


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """A ValueError about a file's content becomes a `CheckpointError` that says which file it is."""
    try:
        yield
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error


def _download_gpt2() -> Path:
    """GPT-2 small from its publisher, at a pinned revision, kept in the hub's own cache."""
    print(f"Fetching GPT-2 small ({GPT2['repo_id']}, MIT licence, about 550 MB) once.")
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(**GPT2, allow_patterns=list(GPT2_FILES)))
    except Exception as error:  # the hub raises many kinds; all mean that the weights are not here
        raise FileNotFoundError(
            f"GPT-2's weights could not be fetched ({error}); put {', '.join(GPT2_FILES)} into a folder and load that"
        ) from error
