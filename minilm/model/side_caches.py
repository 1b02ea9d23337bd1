"""Networks that read along with a frozen base: each keeps keys and values of its own while a text grows."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

from minilm.model.cache import KVCache
from minilm.model.interface import Reading


class Companion(Hashable, Protocol):
    """Whoever reads along."""

    def new_cache(self, batch_size: int, capacity: int | None = None) -> KVCache: ...


def own_cache(reading: Reading, companion: Companion, n_before: int = 0) -> KVCache | None:
    """The side network's KV cache, synchronised with the base's; None if the base runs without a cache.

    Its length is 0 in the first pass over a text, and later `n_before` more than the text's.

    Args:
        n_before: tokens, real or virtual, that the companion reads before the text.
    """
    cache, n_new = reading.cache, reading.tokens.size(1)
    if cache is None:
        return None
    own: KVCache
    if companion not in cache.companions:
        own = companion.new_cache(reading.tokens.size(0), cache.capacity + n_before)
        # The base may have read virtual tokens too, which the companion has not.
        cache.companions[companion] = (own, n_before - (cache.length - n_new))
        return own
    own, ahead = cache.companions[companion]
    own.length = cache.length - n_new + ahead  # the base has counted the new tokens already
    own.lengths = None if cache.lengths is None else cache.lengths - n_new + ahead
    return own
