"""Reading a growing text: with a cache while it fits the window, by rereading the window once it does not.

A text on its own is also read ahead. Where its last two tokens have stood together before, the tokens that followed them
then are read along with the newest one: a pass over three tokens takes little longer than over one, since the weights
come from memory either way. A right guess saves a pass, a wrong one is taken out of the cache again. Guesses decide what
is read early, never what is drawn, so the text is the same (Leviathan et al. 2023, *Fast Inference from Transformers via
Speculative Decoding*; that the text itself can do the guessing is Saxena's *Prompt Lookup Decoding*, 2023).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

FEWEST, MOST = 2, 8
"""Guesses read along with a token: as many as were right in a row, within these bounds."""


class Decoder:
    """Next-token logits for a batch of texts that grow by one token a step.

    Args:
        model: a `MiniLM` or a tuned model.
        tokens: (B, T) prompts on the model's device.
        max_new_tokens: how far the texts will grow; decides how large the cache is.
        lengths: (B,) number of real tokens in each right-padded row; such rows must fit the window.
        attribute: (B, m) tokens for tuned models that take one.
    """

    def __init__(
        self,
        model,
        tokens: Tensor,
        max_new_tokens: int,
        lengths: Tensor | None = None,
        attribute: Tensor | None = None,
    ):
        self.model, self.tokens, self.lengths = model, tokens, lengths
        self.options = {} if attribute is None else {"attribute": attribute.to(model.device)}
        self.cache = model.new_cache(tokens.size(0), min(tokens.size(1) + max_new_tokens, model.window))
        alone = tokens.size(0) == 1 and lengths is None
        self.lookup = Lookup(tokens[0].tolist()) if alone else None
        self.ahead: list[tuple[int, Tensor]] = []
        """Guesses in the cache that are still open, each with the logits (1, vocab) that follow it."""

    def next_logits(self, token: Tensor | None = None) -> Tensor:
        """(B, vocab) for the next token, after each row has grown by `token` (B,); None reads the prompt."""
        if token is None and self.tokens.size(1) <= self.model.window:
            return self.read_prompt()
        if token is not None:
            self.tokens = torch.cat([self.tokens, token[:, None]], dim=1)
        if self.tokens.size(1) > self.model.window:
            window = self.tokens[:, -self.model.window :]
            return self.model(window, **self.options).logits[:, -1]
        return self.read(token[:, None]) if self.lookup is None else self.read_ahead(int(token))

    def read_prompt(self) -> Tensor:
        """The first pass, and from its logits those of each row's last real token."""
        logits = self.model(self.tokens, cache=self.cache, **self.options).logits  # (B, T, vocab)
        if self.lengths is None:
            return logits[:, -1]
        self.cache.set_lengths(self.lengths)
        rows = torch.arange(logits.size(0), device=logits.device)
        return logits[rows, self.lengths.to(logits.device) - 1]

    def read(self, token: Tensor) -> Tensor:
        """Logits (B, vocab) after one new token of each row (B, 1)."""
        return self.model(token, cache=self.cache, **self.options).logits[:, -1]

    def read_ahead(self, token: int) -> Tensor:
        """Logits (1, vocab) after a token of the only row: from an earlier pass, if that guessed it."""
        self.lookup.append(token)
        if self.ahead and self.ahead[0][0] == token:
            self.lookup.n_right += 1
            return self.ahead.pop(0)[1]
        if self.ahead:
            self.cache.rewind(len(self.ahead))
            self.ahead, self.lookup.n_right = [], 0
        guesses = self.guess()
        new = torch.tensor([[token, *guesses]], device=self.tokens.device)
        logits = self.model(new, cache=self.cache, **self.options).logits  # (1, 1 + guesses, vocab)
        after, *further = logits.unbind(dim=1)
        self.ahead = list(zip(guesses, further, strict=True))
        return after

    def guess(self) -> list[int]:
        """What to read ahead: nothing for a trace, which shows tokens one by one, nor where a delta keeps a state."""
        if self.model.base.recorder is not None or self.cache.companions:
            return []
        return self.lookup.guess(self.cache.capacity - self.cache.length - 1)


class Lookup:
    """Guesses from the text itself: what followed the last two tokens when they last stood together."""

    def __init__(self, tokens: Iterable[int]):
        self.tokens: list[int] = []
        self.after: dict[tuple[int, int], int] = {}
        """For each pair of neighbours, where in the text the latest token after it stands."""
        self.n_right = 0
        """Guesses that came true since the last that did not."""
        for token in tokens:
            self.append(token)

    def append(self, token: int) -> None:
        """The text grows by one token."""
        if len(self.tokens) >= 2:
            self.after[self.tokens[-2], self.tokens[-1]] = len(self.tokens)
        self.tokens.append(token)

    def guess(self, room: int) -> list[int]:
        """Up to `room` tokens that may come next; none where the last two tokens never stood together."""
        start = self.after.get(tuple(self.tokens[-2:]))
        if start is None:
            return []
        n_guess = min(max(self.n_right, FEWEST), MOST, room)
        period = len(self.tokens) - start  # what has repeated once is guessed to go on repeating
        return [self.tokens[start + step % period] for step in range(n_guess)]
