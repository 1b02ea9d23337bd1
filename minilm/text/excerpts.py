"""Bounded samples of texts of any size: runs at even distances, the same every time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from minilm.text.pieces import cut_near, read_pieces
from minilm.text.shards import TokenShards

Tokens = Sequence[int] | np.ndarray | TokenShards
"""Token ids of one text, in memory or on disk."""
RUNS = 64
"""Runs in a sample: enough to see every part of a text, few enough that the places where they join do not count."""


def spread(length: int, most: int) -> list[range]:
    """At most `RUNS` ranges of equal length, evenly spaced over 0 .. length - 1, that hold at most `most` numbers together.

    One range of all numbers where there are not more than that.

    Raises:
        ValueError: `most` is not positive.
    """
    if most < 1:
        raise ValueError(f"most must be 1 or more, not {most}: an empty sample says nothing")
    if length <= most:
        return [range(length)]
    n_run = min(RUNS, most)
    size = most // n_run
    starts = (k * (length - size) // max(n_run - 1, 1) for k in range(n_run))
    return [range(start, start + size) for start in starts]


def sample_tokens(tokens: Tokens, most: int) -> np.ndarray:
    """At most `most` of the tokens, (n,) int64: runs as `spread` spaces them, joined."""
    runs = [tokens[run.start : run.stop] for run in spread(len(tokens), most)]
    return np.concatenate([np.asarray(run, dtype=np.int64) for run in runs])


def sample_file(
    path: Path, most: int, start: int = 0, stop: int | None = None, special_tokens: Sequence[str] = ()
) -> Iterator[str]:
    """About `most` bytes of a UTF-8 file, or of its bytes from `start` to `stop`, in pieces that cut no word.

    Raises:
        FileNotFoundError, TextError: as for `read_pieces`.
    """
    stop = path.stat().st_size if stop is None else stop
    for run in spread(stop - start, most):
        ends = (cut_near(path, start + at, special_tokens) for at in (run.start, run.stop))
        first, last = (min(end, stop) for end in ends)
        yield from read_pieces(path, special_tokens, first, last)
