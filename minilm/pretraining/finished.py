"""How a finished model was made, as its card says it: so that no run is repeated and no model is lost by mistake."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from minilm.pretraining.recipe import WORLD_OF, Recipe
from minilm.storyworld.world import WORLDS
from minilm.system.content_digests import MARK
from minilm.system.devices import resolve_device
from minilm.system.json_files import parse_json
from minilm.training import TrainingConfig
from minilm.training.identity import describe_difference, settings_identity

FILES = ("config.json", "model.safetensors", "tokenizer.json")
"""What a finished model has."""


def making_of(recipe: Recipe, dtype: torch.dtype | None, source: str | None) -> dict[str, Any]:
    """What the card keeps: the recipe, the precision that weights are stored in, and a digest of the text's source."""
    stored = str(dtype or torch.float32).removeprefix("torch.")
    return asdict(recipe) | {"stored": stored} | ({"source": source} if source else {})


def source_digest(data: str) -> str | None:
    """A digest of what a recipe's text is made from: your own file, or the grammar; None for registered data sets.

    Their files never change: each has its SHA-256 in the register.
    """
    path = Path(data).expanduser()
    files = [WORLDS[WORLD_OF[data]]] if data in WORLD_OF else [path]
    if not all(file.is_file() for file in files):
        return None
    return MARK + hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def read_making(folder: Path) -> dict[str, Any] | None:
    """What the card of a finished model in a folder says; empty if it says nothing, None if there is no model."""
    if not any((folder / name).exists() for name in FILES):
        return None
    try:
        card = (folder / "README.md").read_text(encoding="utf-8")
        [block] = re.findall(r"^```json\n(.*?)^```", card, flags=re.DOTALL | re.MULTILINE)
        making = parse_json(block)
    except (OSError, ValueError):
        return {}
    return making if isinstance(making, dict) and isinstance(making.get("training"), dict) else {}


def is_complete(folder: Path) -> bool:
    """Whether all files of a finished model are there."""
    return all((folder / name).is_file() for name in FILES)


def difference(theirs: Mapping[str, Any], ours: Mapping[str, Any]) -> str | None:
    """What sets two makings apart, in words; None if they make the same model.

    An older card may lack fields: a setting it does not name had its default, and a source it does not name is not compared.
    """
    both = {"source"} & theirs.keys() & ours.keys()
    return describe_difference(_decisive(theirs, both), _decisive(ours, both))


def _decisive(making: Mapping[str, Any], also: set[str]) -> dict[str, Any]:
    """The settings of a making that decide the model, defaults filled in."""
    training = {**asdict(TrainingConfig()), **making["training"]}
    recipe = {**asdict(Recipe()), "stored": "float32", **making}
    rest = {name: value for name, value in recipe.items() if name not in ("training", "source")}
    settings = settings_identity(training, resolve_device(training["device"]))
    return rest | {"settings": settings} | {name: making[name] for name in also}
