"""A text file that is too large for memory, as a corpus: used for training, encoded and evaluated in parts.

Its tokenizer and its tokens are kept in the cache, in a folder named after the file's own SHA-256 and the settings: the next run
on it begins at once, and an interrupted one continues.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from filelock import FileLock

from minilm.system.paths import cache_folder
from minilm.text.excerpts import sample_file, sample_tokens
from minilm.text.pieces import cut_near
from minilm.text.shard_manifest import sha256
from minilm.text.sharding import write_shards
from minilm.text.shards import TokenShards
from minilm.text.tokenizer import END_OF_TEXT, BPETokenizer

LARGE = 32 << 20
"""Bytes of a text above which it is not read into memory: as a string and lists of tokens it takes about 14 times its size."""
LEARNT_FROM = 256 << 20
"""Bytes of a text that its tokenizer learns from at most: evenly spaced parts."""
EVALUATED = 200_000
"""Held-out tokens that an evaluation reads at most: evenly spaced parts, the same every time."""


class LargeText(NamedTuple):
    """A text as token ids on disk."""

    tokenizer: BPETokenizer
    """It was trained on the first part alone."""
    text: TokenShards
    """The first part, to learn from."""
    held_out: TokenShards
    """The rest."""


def encode_large(path: Path, vocab_size: int, share: float) -> LargeText:
    """Train a tokenizer on a UTF-8 file but for its last `share`, and encode both parts; what the cache has is kept.

    Raises:
        TextError: the file is not a text.
        SaveError: the disk has too little room, or cannot be written to.
    """
    settings = (sha256(path), vocab_size, share, LEARNT_FROM)
    folder = cache_folder() / "shards" / hashlib.sha256(repr(settings).encode()).hexdigest()[:20]
    folder.mkdir(parents=True, exist_ok=True)
    size = path.stat().st_size
    cut = cut_near(path, round(size * (1 - share)), (END_OF_TEXT,))
    with FileLock(folder / "shards.lock"):  # processes that train together, one a GPU, take turns
        tokenizer = _tokenizer(path, cut, vocab_size, folder / "tokenizer.json")
        text = write_shards(path, folder / "text", tokenizer, 0, cut)
        return LargeText(tokenizer, text, write_shards(path, folder / "held-out", tokenizer, cut, size))


def _tokenizer(path: Path, cut: int, vocab_size: int, kept: Path) -> BPETokenizer:
    """The tokenizer of a file's first part: the one that is kept, or else trained now."""
    if kept.is_file():
        return BPETokenizer.load(kept)
    tokenizer = BPETokenizer.train(
        sample_file(path, LEARNT_FROM, 0, cut, (END_OF_TEXT,)), vocab_size=vocab_size
    )
    tokenizer.save(kept)
    return tokenizer


def evaluated(tokenizer: BPETokenizer, held_out: Sequence[int] | TokenShards) -> tuple[list[int], int]:
    """The held-out tokens that an evaluation reads, and how many bytes of text they are."""
    tokens = sample_tokens(held_out, EVALUATED).tolist()
    return tokens, sum(len(tokenizer.token_bytes(token)) for token in tokens)
