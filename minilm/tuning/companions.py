"""Small networks that read along with a frozen base: each keeps keys and values of its own while a text grows."""

from __future__ import annotations

from collections.abc import Hashable

from minilm.cache import KVCache
from minilm.config import ModelConfig
from minilm.sites import Reading


def own_cache(reading: Reading, owner: Hashable, config: ModelConfig, n_before: int = 0) -> KVCache | None:
    """The owner's keys and values, brought to where the base's stand; None if the base keeps none.

    Its length is 0 in the first pass over a text, and counts `n_before` more tokens than the text has ever after.

    Args:
        config: shape of the owner's network.
        n_before: tokens that the owner reads before the text.
    """
    cache, n_new = reading.cache, reading.tokens.size(1)
    if cache is None:
        return None
    if owner not in cache.companions:
        weight, batch_size = reading.logits, reading.tokens.size(0)
        own = KVCache(config, batch_size, cache.capacity + n_before, weight.device, weight.dtype)
        cache.companions[owner] = own, n_before - (cache.length - n_new)  # the base may read virtual tokens
        return own
    own, ahead = cache.companions[owner]
    own.length = cache.length - n_new + ahead  # the base has counted the new tokens already
    own.lengths = None if cache.lengths is None else cache.lengths - n_new + ahead
    return own
