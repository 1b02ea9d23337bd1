"""Finding a model by name: a folder, a bundled checkpoint, an offline mirror, or GPT-2 at its publisher."""

from __future__ import annotations

from pathlib import Path

from minilm.checkpoints.gpt2_download import PUBLISHED, fetch_gpt2
from minilm.system.paths import BUNDLED, mirror_folder
from minilm.system.places import as_path

GPT2_FILES = tuple(PUBLISHED)


def find_checkpoint(name: str | Path) -> Path:
    """The folder of a model, by name; GPT-2's own weights are downloaded if they are not there yet.

    `MINILM_DATA` names a folder in which to look first, and while it is set nothing is fetched.

    Raises:
        ValueError: the name is not a text or a path.
        FileNotFoundError: there is no such checkpoint.
        CheckpointError: what is there of GPT-2 has other bytes than the published files.
    """
    path = as_path(name, "the name of a checkpoint")
    if path.is_dir():
        return path
    if (BUNDLED / path / "model.safetensors").is_file():
        return BUNDLED / path
    mirror = mirror_folder()
    if mirror is not None and (mirror / path / "model.safetensors").is_file():
        return mirror / path
    if str(name) == "gpt2":
        return _gpt2(mirror)
    bundled = sorted(file.parent.name for file in BUNDLED.glob("*/model.safetensors"))
    raise FileNotFoundError(f"no checkpoint {str(name)!r}: give a folder, 'gpt2', or one of {bundled}")


def _gpt2(mirror: Path | None) -> Path:
    """GPT-2 small from its publisher; never while a mirror is set."""
    if mirror is not None:
        raise FileNotFoundError(
            f"the mirror {mirror} (MINILM_DATA) has no folder gpt2 with {', '.join(GPT2_FILES)}; put it there, or "
            "unset MINILM_DATA to fetch GPT-2"
        )
    return fetch_gpt2()
