"""Reading a growing text: with a cache while it fits the window, by rereading the window once it does not.

A single sequence is decoded speculatively. If its last two tokens occurred together before, the tokens that followed them
serve as a draft, which is verified in the same forward pass as the newest token: a pass over three tokens takes little
longer than over one, since all weights are read from memory either way. Each right token of the draft saves a pass; wrong
ones are removed from the cache. The draft decides what is computed early, never what is drawn, so the text is the same
(Leviathan et al. 2023, *Fast Inference from Transformers via Speculative Decoding*; the draft from the text itself is
Saxena's *Prompt Lookup Decoding*, 2023).
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from minilm.model.interface import LanguageModel

FEWEST, MOST = 2, 8
"""Length of a draft: as many tokens as were right in a row, within these bounds."""


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
        model: LanguageModel,
        tokens: Int[Tensor, "batch time"],
        max_new_tokens: int,
        lengths: Int[Tensor, " batch"] | None = None,
        attribute: Int[Tensor, "_ m"] | None = None,
    ):
        self.model, self.tokens, self.lengths = model, tokens, lengths
        self.attribute = None if attribute is None else attribute.to(model.device)
        self.cache = model.new_cache(tokens.size(0), min(tokens.size(1) + max_new_tokens, model.window))
        alone = tokens.size(0) == 1 and lengths is None
        self.lookup = Lookup(tokens[0].tolist()) if alone else None
        self.ahead: list[tuple[int, Tensor]] = []
        """The draft tokens in the cache that are not yet verified, each with the logits (1, vocab) that follow it."""

    def next_logits(self, token: Int[Tensor, " batch"] | None = None) -> Float[Tensor, "batch vocab"]:
        """For the next token, after each row has grown by `token`; None reads the prompt."""
        if token is not None:
            self.tokens = torch.cat([self.tokens, token[:, None]], dim=1)
        if self.tokens.size(1) > self.model.window:
            window = self.tokens[:, -self.model.window :]
            return self.model(window, attribute=self.attribute).logits[:, -1]
        if token is None:
            return self.read_prompt()
        if self.lookup is None:
            return self.read(token[:, None])[:, -1]
        return self.read_ahead(self.lookup, int(token))

    def read(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time vocab"]:
        """Logits after tokens that are new in each row; the cache then holds them."""
        return self.model(tokens, attribute=self.attribute, cache=self.cache).logits

    def read_prompt(self) -> Float[Tensor, "batch vocab"]:
        """The first pass, and from its logits those of each row's last real token."""
        logits = self.read(self.tokens)  # (B, T, vocab)
        if self.lengths is None:
            return logits[:, -1]
        self.cache.set_lengths(self.lengths)
        rows = torch.arange(logits.size(0), device=logits.device)
        return logits[rows, self.lengths.to(logits.device) - 1]

    def read_ahead(self, lookup: Lookup, token: int) -> Float[Tensor, "1 vocab"]:
        """Logits after a token of the only row: from an earlier pass, if the draft there was right."""
        lookup.append(token)
        if self.ahead and self.ahead[0][0] == token:
            lookup.n_right += 1
            return self.ahead.pop(0)[1]
        if self.ahead:
            self.cache.rewind(len(self.ahead))
            self.ahead, lookup.n_right = [], 0
        draft = lookup.guess(self.room_for_draft())
        logits = self.read(
            torch.tensor([[token, *draft]], device=self.tokens.device)
        )  # (1, 1 + draft, vocab)
        after, *further = logits.unbind(dim=1)
        self.ahead = list(zip(draft, further, strict=True))
        return after

    def room_for_draft(self) -> int:
        """Tokens that may be read ahead: none in a trace, which shows tokens one by one, or where a delta keeps a state."""
        if self.model.base.recorder is not None or self.cache.companions:
            return 0
        return self.cache.capacity - self.cache.length - 1


class Lookup:
    """Drafts from the text itself: what followed the last two tokens when they last occurred together.

    >>> Lookup([7, 8, 9, 7, 8]).guess(room=2)
    [9, 7]
    """

    def __init__(self, tokens: Iterable[int]):
        self.tokens: list[int] = []
        self.after: dict[tuple[int, int], int] = {}
        """Pair of neighboring tokens -> index of the token after its latest occurrence."""
        self.n_right = 0
        """Draft tokens that were right, since the last wrong one."""
        for token in tokens:
            self.append(token)

    def append(self, token: int) -> None:
        """The text grows by one token."""
        if len(self.tokens) >= 2:
            self.after[self.tokens[-2], self.tokens[-1]] = len(self.tokens)
        self.tokens.append(token)

    def guess(self, room: int) -> list[int]:
        """A draft of up to `room` tokens; empty if the last two tokens never occurred together before."""
        start = self.after.get((self.tokens[-2], self.tokens[-1])) if len(self.tokens) > 1 else None
        if start is None:
            return []
        n_guess = min(max(self.n_right, FEWEST), MOST, room)
        period = len(self.tokens) - start  # the draft repeats what has repeated once
        return [self.tokens[start + step % period] for step in range(n_guess)]
