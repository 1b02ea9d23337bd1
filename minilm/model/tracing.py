"""Look inside a forward pass: attention weights, gates, and what the logits were before and after tuning.

    with trace(model) as t:
        model(tokens)
    t.attention[0]          # (B, heads, T, S) of layer 0

Inside the block the model uses its explicit attention, since a fused kernel never holds the weights, and drops nothing
out: what is seen is what the model says when it writes. Passes of other threads are not recorded, and not changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from minilm.model.attention import Attended
from minilm.model.interface import LanguageModel, Reading
from minilm.model.model import MiniLM
from minilm.model.passes import Under, conditions
from minilm.model.visibility import CAUSAL


@dataclass(frozen=True)
class TracedLogits:
    """Next-token logits of one pass, each (B, T, vocab)."""

    base: Tensor
    """Those of the base model alone."""
    combined: Tensor
    """Those of the model as it ran."""

    @property
    def shift(self) -> Tensor:
        """combined - base: what tuning added, at whatever site it acts."""
        return self.combined - self.base


class Trace:
    """What was seen of the last forward pass."""

    def __init__(self, base: MiniLM):
        self._base = base
        self.attention: dict[int, Tensor] = {}
        """Per layer (B, heads, T, S): S counts memory slots and virtual tokens first, then the text. Rows sum to 1."""
        self.gates: dict[int, Tensor] = {}
        """Per layer (B, heads, T): an inducer's gate, or the attention that goes to memory slots and virtual tokens.
        Layers without either have no entry."""
        self.tokens: Tensor | None = None
        """(B, T) that the model read."""
        self.states: list[Tensor] = []
        """Residual stream (B, T, d) entering block 0 and leaving every block."""
        self._seen: dict[int, tuple[Attended, int]] = {}
        self._combined: Tensor | None = None
        self._visibility = CAUSAL
        self._continued = False
        self._logits: TracedLogits | None = None

    @property
    def logits(self) -> TracedLogits:
        """Logits with and without tuning; the base is run here, the first time they are asked for.

        Raises:
            RuntimeError: nothing was traced, or only the end of a text that a cache holds the beginning of.
        """
        if self._combined is None:
            raise RuntimeError(
                "nothing was traced yet: call the model inside the `with trace(model)` block first"
            )
        if self._continued:
            raise RuntimeError(
                "the last traced pass read only the newest tokens of a text whose beginning is in a cache: "
                "to compare with the base, trace one pass over the whole text"
            )
        if self._logits is None:
            # by the explicit attention that the traced pass used, and with nobody listening
            with torch.no_grad(), Under(None, evaluating=True, explicit=True, recorders=()):
                base = self._base(self.tokens, visibility=self._visibility)
                self._logits = TracedLogits(base.logits, self._combined)
        return self._logits

    def keep_attention(self, layer: int, attended: Attended, n_memory: int) -> None:
        """Called by the model for every layer."""
        self._seen[layer] = (attended, n_memory)

    def keep_logits(self, reading: Reading, combined: Tensor) -> None:
        """Called by the model at the end of a pass."""
        self.tokens, self._combined, self._logits = reading.tokens, combined.detach(), None
        self._visibility = reading.visibility
        self.states = [state.detach() for state in reading.states]
        n_token = reading.tokens.size(1)
        self.attention, self.gates = {}, {}
        n_row = max(attended.query.size(-2) for attended, _ in self._seen.values())
        self._continued = reading.cache is not None and reading.cache.length > n_row
        for layer, (attended, n_memory) in sorted(self._seen.items()):
            n_virtual = attended.query.size(-2) - n_token
            weights = _weights_of(attended)
            self.attention[layer] = weights[:, :, -n_token:].detach()  # virtual tokens ask nothing
            gate = self._gate(attended, weights, n_memory + n_virtual)
            if gate is not None:
                self.gates[layer] = gate[:, :, -n_token:].detach()
        self._seen = {}

    def _gate(self, attended: Attended, weights: Tensor, n_slot: int) -> Tensor | None:
        """The gate a delta asked for, else the mass on the slots, else nothing."""
        if attended.gates:
            return attended.gates[-1]
        return weights[..., :n_slot].sum(dim=-1) if n_slot else None


def _weights_of(attended: Attended) -> Tensor:
    """The attention weights, which a recorded pass always forms."""
    if attended.weights is None:
        raise RuntimeError("a traced pass must form its attention weights: it ran with the fused kernel")
    return attended.weights


def trace(model: LanguageModel) -> Under[Trace]:
    """Record the forward passes of a `MiniLM` or a tuned model; the trace holds the last one of this thread.

    Raises:
        ValueError: the model is neither.
    """
    base = getattr(model, "base", None)
    if not isinstance(base, MiniLM):
        raise ValueError(f"only a MiniLM or a tuned model can be traced, not {model!r}")
    record = Trace(base)
    return Under(record, evaluating=True, recorders=((base, record), *conditions().recorders))
