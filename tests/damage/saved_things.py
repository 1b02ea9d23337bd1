"""One of everything that minilm saves, small, with the way to load it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from minilm import BPETokenizer, MiniLM, ModelConfig, load_pretrained, save_pretrained
from minilm.checkpoints.tensors import read_tensors, write_tensors
from minilm.interop import load_peft, save_peft
from minilm.tuning import LoRA, Method, Prefix, attach, load

CONFIG = ModelConfig(vocab_size=262, context_length=12, n_layer=2, n_head=2, d_model=8)
TEXTS = ["the cat sat on the mat and the dog sat on the cat"] * 3
LARGE_ENOUGH = 0.2
"""Standard deviation of weights, so that a change of one shows."""


@dataclass(frozen=True)
class Saved:
    """Something on disk."""

    place: Path
    """Its folder, or its file."""
    load: Callable[[], Any]
    """Loads it; raises if that fails."""
    files: tuple[Path, ...]
    """What is read while loading, the manifest included."""


def base_model() -> MiniLM:
    """The model that everything belongs to."""
    torch.manual_seed(3)
    model = MiniLM(CONFIG).eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=LARGE_ENOUGH)
    return model


def tokenizer() -> BPETokenizer:
    """262 tokens."""
    return BPETokenizer.train(TEXTS, vocab_size=CONFIG.vocab_size)


def save_all(folder: Path, base: MiniLM) -> dict[str, Saved]:
    """Save one of everything."""
    save_pretrained(folder / "model", base, tokenizer())
    loaders = {"model": partial(load_pretrained, folder / "model")}
    methods: dict[str, Method] = {
        "lora": LoRA(rank=2),
        "prefix": Prefix(length=2, hidden=4, shift_positions=True),
    }
    for name, method in methods.items():
        tuned = attach(base, method)
        tuned.save(folder / name)
        save_peft(tuned, folder / f"peft-{name}")
        tuned.detach()
        loaders[name] = partial(released, load, base, folder / name)
        loaders[f"peft-{name}"] = partial(released, load_peft, base, folder / f"peft-{name}")
    tokenizer().save(folder / "tokenizer.json")
    loaders["tokenizer.json"] = partial(BPETokenizer.load, folder / "tokenizer.json")
    state = {f"model.{name}": tensor for name, tensor in base.state_dict().items()}
    state["random.cpu"] = torch.get_rng_state()
    write_tensors(folder / "run.safetensors", state, {"step": 7, "losses": [1.5, float("nan")]})
    loaders["run.safetensors"] = partial(read_tensors, folder / "run.safetensors")
    return {name: Saved(folder / name, load_it, files_of(folder / name)) for name, load_it in loaders.items()}


def released(load_it: Callable[..., Any], base: MiniLM, folder: Path) -> Any:
    """Load an adapter, and let the base go."""
    tuned = load_it(base, folder)
    tuned.detach()
    return tuned


def files_of(place: Path) -> tuple[Path, ...]:
    """The files of a saved thing."""
    return tuple(sorted(place.iterdir())) if place.is_dir() else (place,)


def put(path: Path, content: bytes) -> None:
    """Write a file anew; to cut a file that exists and fill it again makes some file systems wait for the disk."""
    path.unlink()
    path.write_bytes(content)
