"""Tokens that a base has never seen: their embeddings are all equal, so a frozen base cannot distinguish them.

A token that no text holds gets one gradient only, the one that every wrong token gets at every step. All such tokens get
the same gradients, so their embeddings become equal. In the bundled checkpoint the nearest neighbour of a token that occurs has
a cosine of at most 0.989, that of one that never occurs of at least 0.9999. A task whose marks are such tokens cannot be
learned by a method that does not change the embeddings.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable

import torch
import torch.nn.functional as F

from minilm.adaptation.encoded import EncodedTask
from minilm.model.model import MiniLM

ALIKE = 0.999
"""Cosine of two embeddings from which on they are taken for one."""
RARE = 0.01
"""Tokens in at most this share of the examples cause no warning."""
MOST = 8
"""Tokens that a warning names."""


class StrangeTokenWarning(UserWarning):
    """A task is written in tokens that the base has never seen."""


@torch.no_grad()
def strange_tokens(model: MiniLM, tokens: Iterable[int]) -> list[int]:
    """The tokens whose embedding equals that of another token."""
    ids = torch.tensor(sorted(set(tokens)), dtype=torch.int64, device=model.device)
    table = F.normalize(model.token_embedding.weight.float(), dim=1)  # (vocab, d)
    found = []
    for some in ids.split(256):
        cosine = table[some] @ table.T  # (n, vocab)
        cosine[torch.arange(len(some)), some] = -1.0
        found += some[cosine.amax(dim=1) > ALIKE].tolist()
    return found


def warn_of_strange_tokens(model: MiniLM, task: EncodedTask) -> None:
    """Warn of strange tokens, by name, that occur in more than one example in a hundred."""
    examples = [{*prompt, *target} for prompt, target in task.learned]
    share = Counter(token for each in examples for token in each)
    often = [token for token, count in share.items() if count > RARE * len(examples)]
    strange = sorted(strange_tokens(model, often), key=lambda token: -share[token])
    if strange:
        names = ", ".join(repr(task.tokenizer.readable(token)) for token in strange[:MOST])
        more = f" and {len(strange) - MOST} more" if len(strange) > MOST else ""
        warnings.warn(
            f"{task.name} is written with {names}{more}: the base has never seen these tokens and cannot distinguish "
            "them. Write the task with words and marks that the base has read, or tune all weights",
            StrangeTokenWarning,
            stacklevel=3,
        )
