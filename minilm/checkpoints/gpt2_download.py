"""GPT-2 small from its publisher: fetched at a pinned revision, and used only if its bytes are those that were published."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from minilm.system.digests import sha256_of
from minilm.system.errors import CheckpointError


class Published(NamedTuple):
    """One file of the revision."""

    n_byte: int
    """Its size."""
    sha256: str
    """SHA-256 of its bytes, 64 hexadecimal digits."""


REPOSITORY, REVISION = "openai-community/gpt2", "607a30d783dfa663caf39e06633721c8d4cfcd7e"
PUBLISHED = {
    "config.json": Published(665, "0daed7749b4f02b8f76240d5444551d7b08712dab4d0adb8239c56ba823bb7b4"),
    "model.safetensors": Published(
        548_105_171, "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707"
    ),
    "tokenizer.json": Published(
        1_355_256, "8414cab924d8b9b33013f0d221c5862f365ee9be39c5c2bfae8a5a9e970478a6"
    ),
}
"""The files that are fetched, and no others."""


def fetch_gpt2() -> Path:
    """The folder of GPT-2 small, in the hub's own cache; what is not there yet is downloaded.

    Raises:
        FileNotFoundError: it is not there and cannot be downloaded.
        CheckpointError: a file has other bytes than the published one.
    """
    print(f"Fetching GPT-2 small ({REPOSITORY}, MIT licence, about 550 MB) once.")
    try:
        from huggingface_hub import snapshot_download

        folder = Path(snapshot_download(REPOSITORY, revision=REVISION, allow_patterns=list(PUBLISHED)))
    except Exception as error:  # the hub raises many kinds; all mean that the weights are not here
        raise FileNotFoundError(
            f"GPT-2's weights could not be fetched ({error}); put {', '.join(PUBLISHED)} into a folder and load that"
        ) from error
    for name, published in PUBLISHED.items():
        check(folder / name, published)
    return folder


def check(path: Path, published: Published) -> None:
    """Raise CheckpointError for a file that is absent or has other bytes than the published one."""
    size = path.stat().st_size if path.is_file() else 0
    if size == published.n_byte and sha256_of(path) == published.sha256:
        return
    raise CheckpointError(
        f"{path} has {size:,} bytes and is not the file that was published, of {published.n_byte:,} bytes and SHA-256 "
        f"{published.sha256}: delete {path.resolve()} and load 'gpt2' again"
    )
