"""Reading a growing text: with a cache while it fits the window, by rereading the window once it does not."""

from __future__ import annotations

import torch
from torch import Tensor


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

    def next_logits(self, token: Tensor | None = None) -> Tensor:
        """(B, vocab) for the next token, after each row has grown by `token` (B,); None reads the prompt."""
        if token is not None:
            self.tokens = torch.cat([self.tokens, token[:, None]], dim=1)
        if self.tokens.size(1) > self.model.window:
            window = self.tokens[:, -self.model.window :]
            return self.model(window, **self.options).logits[:, -1]
        if token is None:
            return self.read_prompt()
        return self.model(token[:, None], cache=self.cache, **self.options).logits[:, -1]

    def read_prompt(self) -> Tensor:
        """The first pass, and from its logits those of each row's last real token."""
        logits = self.model(self.tokens, cache=self.cache, **self.options).logits  # (B, T, vocab)
        if self.lengths is None:
            return logits[:, -1]
        self.cache.set_lengths(self.lengths)
        rows = torch.arange(logits.size(0), device=logits.device)
        return logits[rows, self.lengths.to(logits.device) - 1]
