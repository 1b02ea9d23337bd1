"""Encoding a text file of any size into token shards: in bounded memory; an interrupted run continues.

The file is cut at even distances, at the next place that cuts no word, so the shards are together the encoding of the whole
text, each can be made by itself, and a shard that is damaged is made again alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm.auto import tqdm

from minilm.system.atomic import atomic_file
from minilm.system.disk import check_room
from minilm.text.excerpts import sample_file
from minilm.text.pieces import TextError, cut_near, read_pieces
from minilm.text.shard_manifest import Manifest, Shard, ShardError, sha256
from minilm.text.shards import TokenShards
from minilm.text.tokenizer import BPETokenizer

SHARD = 64 << 20
"""Bytes of text in a shard."""
ESTIMATE_FROM = 1 << 20
"""Bytes of text that are encoded to estimate how much room the tokens take."""


class Job(NamedTuple):
    """One shard to make."""

    path: Path
    """The text file."""
    start: int
    """Its first byte of the shard."""
    stop: int
    """The byte after the last."""
    target: Path
    """The file of tokens to write."""


def write_shards(
    path: str | Path,
    folder: str | Path,
    tokenizer: BPETokenizer,
    start: int = 0,
    stop: int | None = None,
    *,
    workers: int = 1,
    progress: bool = True,
) -> TokenShards:
    """Encode a UTF-8 file, or its bytes from `start` to `stop`, into a folder of shards; those that are there are kept.

    Memory holds one piece of the text at a time, whatever its size. A damaged shard is reported and made again.

    Args:
        start, stop: 0, the file's size, or from `cut_near`.
        workers: processes that encode, each one shard; a script must then call this under `if __name__ == "__main__"`.
        progress: whether a bar shows how far it is.

    Raises:
        FileNotFoundError: there is no such file.
        TextError: the file is not a text, or empty.
        ShardError: the folder holds shards of another text or tokenizer.
        SaveError: the disk has too little room, which is asked before anything is written, or cannot be written to.
    """
    path, folder = Path(path), Path(folder)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is not a file: there is no text to encode")
    stop = path.stat().st_size if stop is None else stop
    jobs = _plan(path, folder, start, stop, tuple(tokenizer.special_tokens))
    manifest = _manifest(
        folder, Manifest(sha256(path, start, stop), fingerprint(tokenizer), _dtype(tokenizer), len(jobs))
    )
    todo = [job for job in jobs if not _is_sound(job, manifest)]
    done = {shard.file: shard for shard in manifest.shards} | dict.fromkeys(job.target.name for job in todo)
    if todo:
        needed = disk_needed(path, tokenizer, start, stop) * len(todo) // len(jobs)
        check_room(folder, needed, f"encoding {path.name}")
        print(f"Encoding {path}: {len(todo)} shard(s), about {needed / 1e9:.2f} GB, to {folder}", flush=True)
    for shard in _encoded(todo, tokenizer, workers, progress):
        done[shard.file] = shard
        manifest = replace(manifest, shards=tuple(filter(None, done.values())))
        manifest.write(folder)
    return TokenShards(folder, check=False)


def disk_needed(path: Path, tokenizer: BPETokenizer, start: int = 0, stop: int | None = None) -> int:
    """Bytes that the shards of a text file will take, within a few percent: estimated from evenly spaced parts of it."""
    stop = path.stat().st_size if stop is None else stop
    n_byte = n_token = 0
    for piece in sample_file(path, ESTIMATE_FROM, start, stop, tuple(tokenizer.special_tokens)):
        n_byte, n_token = n_byte + len(piece.encode()), n_token + len(tokenizer.encode(piece))
    return round((stop - start) * n_token / max(n_byte, 1)) * np.dtype(_dtype(tokenizer)).itemsize


def fingerprint(tokenizer: BPETokenizer) -> str:
    """SHA-256 of all that decides a text's ids, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for token in range(tokenizer.vocab_size):
        data = tokenizer.token_bytes(token)
        digest.update(len(data).to_bytes(8, "little") + data)
    merges = [(merge.left, merge.right, merge.token) for merge in tokenizer.merges]
    digest.update(repr((merges, sorted(tokenizer.special_tokens.items()))).encode())
    return digest.hexdigest()


def _dtype(tokenizer: BPETokenizer) -> str:
    return "<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4"


def _plan(path: Path, folder: Path, start: int, stop: int, special_tokens: Sequence[str]) -> list[Job]:
    """The shards of a text, in order."""
    if start >= stop:
        raise TextError(str(path), None, "it is empty, there is nothing to encode")
    cuts = [start]
    while cuts[-1] < stop:
        cuts.append(min(cut_near(path, cuts[-1] + SHARD, special_tokens), stop))
    pairs = pairwise(cuts)
    return [Job(path, *pair, folder / f"{number:05}.bin") for number, pair in enumerate(pairs)]


def _manifest(folder: Path, wanted: Manifest) -> Manifest:
    """The manifest in the folder, if it is of the same text and tokenizer; the one wanted where there is none."""
    try:
        found = Manifest.read(folder)
    except FileNotFoundError:
        return wanted
    if replace(found, shards=()) != wanted:
        raise ShardError(
            f"{folder} holds shards of another text, or made with another tokenizer: choose another folder, or remove it"
        )
    return found


def _is_sound(job: Job, manifest: Manifest) -> bool:
    """Whether a shard is there as the manifest says; one that differs is reported."""
    known = next((shard for shard in manifest.shards if shard.file == job.target.name), None)
    fault = known.fault(job.target.parent, manifest.dtype) if known else ""
    if fault:
        print(f"{fault}: this shard is made again", flush=True)
    return known is not None and not fault


def _encoded(jobs: Sequence[Job], tokenizer: BPETokenizer, workers: int, progress: bool) -> Iterator[Shard]:
    """Make shards, in order, by as many processes."""
    total = sum(job.stop - job.start for job in jobs)
    with (
        tqdm(total=total, unit="B", unit_scale=True, desc="encoding", disable=not (progress and jobs)) as bar,
        ProcessPoolExecutor(workers, get_context("spawn")) if workers > 1 else nullcontext() as pool,
    ):
        encode = partial(encode_shard, tokenizer=tokenizer)
        for job, shard in zip(jobs, (pool.map if pool else map)(encode, jobs), strict=True):
            yield shard
            bar.update(job.stop - job.start)


def encode_shard(job: Job, tokenizer: BPETokenizer) -> Shard:
    """Encode a part of a text file into one file, which is in its place only when it is whole.

    Raises:
        TextError: the file is not a text, or empty.
        SaveError: the file cannot be written.
    """
    n_token, digest = 0, hashlib.sha256()
    with atomic_file(job.target) as draft, draft.open("wb") as file:
        for piece in read_pieces(job.path, tuple(tokenizer.special_tokens), job.start, job.stop):
            row = np.array(tokenizer.encode(piece), dtype=_dtype(tokenizer))
            digest.update(row.data)
            file.write(row.data)
            n_token += len(row)
        if not n_token:
            raise TextError(str(job.path), None, "it is empty, there is nothing to encode")
    return Shard(job.target.name, n_token, digest.hexdigest())
