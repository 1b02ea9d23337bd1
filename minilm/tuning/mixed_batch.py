"""Many tuned models from one base, in one batch: each row is read with its own deltas, the base's products are shared.

That is what prefix-tuning claimed as its advantage over fine-tuning (Li & Liang 2021, section 8.1); it holds for every
method that only adds to the base.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from minilm.generation.requests import check_model
from minilm.model.attention import Attended
from minilm.model.cache import KVCache
from minilm.model.interface import OnBase, Output, Reading
from minilm.model.model import MiniLM
from minilm.model.sites import AttentionDelta, Delta, Place, Sites
from minilm.model.slots import Memory
from minilm.model.tokens import check_tokens, in_words
from minilm.model.visibility import CAUSAL, Visibility, fixed
from minilm.tuning.tuned import TunedModel


class MixedBatch(OnBase):
    """Reads and generates like a model; row i of every batch is read by `models[i]`.

    Args:
        models: for each row a tuned model, or the base itself for a row without tuning.

    Raises:
        ValueError: the models do not share one base, or one of them replaces the base's weights, puts virtual
            tokens before the text, or moves its positions: rows of one batch cannot differ in these.
    """

    training = False
    base: MiniLM

    def __init__(self, models: Sequence[TunedModel | MiniLM]):
        if not isinstance(models, list | tuple):
            raise ValueError(f"models must be a list of models, one for each row, not {in_words(models)}")
        if not models:
            raise ValueError("a mixed batch needs a model for each of its rows, but there are none")
        for model in models:
            check_model(model)
        self.models = list(models)
        bases = {id(model.base) for model in models}
        if len(bases) > 1:
            raise ValueError(f"the models of a batch must share one base, but these have {len(bases)}")
        self.base = models[0].base
        self.rows: dict[TunedModel, list[int]] = defaultdict(list)
        for row, model in enumerate(self.models):
            if isinstance(model, TunedModel):
                self.rows[model].append(row)
        for model in self.rows:
            if model.weights() or model.n_virtual or model.position_offset:
                raise ValueError(
                    f"{', '.join(model.methods)} cannot share a batch with others: it replaces weights of the base, "
                    "adds virtual tokens or moves positions"
                )

    @property
    def takes_attribute(self) -> bool:
        """Whether one of the models takes an attribute."""
        return any(model.takes_attribute for model in self.rows)

    def __call__(
        self,
        tokens: Tensor,
        *,
        attribute: Tensor | None = None,
        cache: KVCache | None = None,
        visibility: Visibility = CAUSAL,
    ) -> Output:
        """Next-token logits for tokens (B, T), B being the number of models."""
        check_tokens(tokens)
        if tokens.size(0) != len(self.models):
            raise ValueError(f"{tokens.size(0)} rows of tokens for a batch of {len(self.models)} models")
        if attribute is not None and not self.takes_attribute:
            raise ValueError("attribute must be None: none of the models of this batch takes one")
        reader = next((model.frozen() for model in self.rows), self.base)
        output: Output = reader(
            tokens, attribute=attribute, cache=cache, sites=self.sites(), visibility=visibility
        )
        return output

    def sites(self) -> Sites:
        """Every model's deltas, each confined to its rows."""
        places: dict[Place, list[Delta]] = defaultdict(list)
        for model, rows in self.rows.items():
            index = torch.tensor(rows, device=self.device)
            for place, deltas in model.sites().deltas.items():
                places[place] += [RowWise(place[0], delta, index) for delta in deltas]
        return Sites(places)


@dataclass(frozen=True)
class RowWise:
    """A delta that sees, and changes, only some rows of the batch."""

    site: str
    delta: Callable[..., Any]
    rows: Tensor
    """(b,) indices of its rows."""

    def __call__(self, *arguments: Any) -> Any:
        special: dict[str, Callable[..., Any]] = {
            "memory": self.memory,
            "attention": self.attention,
            "logits": self.logits,
        }
        return special.get(self.site, self.sum)(*arguments)

    def sum(self, x: Tensor, y: Tensor) -> Tensor:
        """What is added to y (B, ...)."""
        return self.spread(self.delta(x[self.rows], y[self.rows]), y.size(0))

    def memory(self, batch_size: int) -> Memory:
        """Slots that the other rows do not see."""
        keys, values, seen = self.delta(len(self.rows))
        seen = torch.ones_like(keys[:, 0, :, 0], dtype=torch.bool) if seen is None else seen  # (b, l)
        return Memory(*(self.spread(part, batch_size) for part in (keys, values, seen)))

    def attention(self, attended: Attended) -> AttentionDelta:
        """What is added to the heads' output and after the output map."""
        own = replace(
            attended,
            query=attended.query[self.rows],
            keys=attended.keys[self.rows],
            output=attended.output[self.rows],
            visible=self.visible(attended),
            scores=None if attended.scores is None else attended.scores[self.rows],
            weights=None if attended.weights is None else attended.weights[self.rows],
            gates=[],
        )
        change = self.delta(own)
        size = attended.query.size(0)
        attended.gates += [self.spread(gate, size) for gate in own.gates]
        return AttentionDelta(*(None if part is None else self.spread(part, size) for part in change))

    def visible(self, attended: Attended) -> Visibility:
        """Who may look at whom in these rows."""
        if not attended.visible.needs_mask:
            return attended.visible
        mask = attended.visible.mask(attended.query.size(-2), attended.keys.size(-2), attended.query.device)
        return fixed(mask[self.rows] if mask.dim() == 4 and mask.size(0) > 1 else mask)

    def logits(self, reading: Reading) -> Tensor:
        """The shift of the logits."""
        own = replace(
            reading,
            tokens=reading.tokens[self.rows],
            states=[state[self.rows] for state in reading.states],
            logits=reading.logits[self.rows],
            attribute=None if reading.attribute is None else reading.attribute[self.rows],
        )
        return self.spread(self.delta(own), reading.logits.size(0))

    def spread(self, part: Tensor, batch_size: int) -> Tensor:
        """(b, ...) at its rows of (B, ...), zero elsewhere."""
        whole = part.new_zeros(batch_size, *part.shape[1:])
        return whole.index_copy(0, self.rows, part)
