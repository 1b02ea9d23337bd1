"""The shift of logits that tuning causes: any tuned model, any text, any strength."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from torch import Tensor

from lessons.widgets import controls
from lessons.widgets.model_explorer import ModelExplorer, Models, traced
from lessons.widgets.views.shift import Mover, Position, shift_view
from minilm import BPETokenizer

LONGEST = 64
"""Positions that are shown at most, the one before the text included."""
N_MOVER, SMALLEST_MOVE = 10, 5e-4
"""At most so many tokens are listed for a position, without those whose probability changes less; but at least two."""
FARTHEST = 100.0
"""Shifts are clipped to this many nats, so that tokens that are ruled out (minus infinity) stay finite."""

Exact = Callable[[list[int], str], Tensor]
"""From token ids and the name of an attribute to the exact shift of log-probabilities (len(ids) + 1, vocab), in nats."""


class ShiftExplorer(ModelExplorer):
    """For each position of a text: which next tokens tuning makes more probable, which less, and by how much.

        ShiftExplorer(tuned, tok, text)                                   # any method: LoRA, prefix, auxiliary, ...
        ShiftExplorer({"LoRA": a, "auxiliary": b}, tok, text, attributes={"because": tok.encode(" because")},
                      exact=lambda ids, name: oracle.shift(ids, ("keyword", name)))

    Args:
        model: a tuned model, or several by name.
        text: read after the end-of-text token; at most 63 of its tokens are shown.
        attributes: token ids by name, for methods that take one; the chosen one is passed to the model.
        exact: what the shift should be, where that is known; drawn as a mark on each bar.
    """

    def __init__(
        self,
        model: Models,
        tokenizer: BPETokenizer,
        text: str,
        *,
        attributes: Mapping[str, list[int]] | None = None,
        exact: Exact | None = None,
    ):
        super().__init__(model, tokenizer, text)
        self.attributes, self.exact = dict(attributes or {}), exact
        self._positions: list[Position] = []
        names = list(self.attributes) or ["none"]
        self.attribute = controls.choice("attribute", names, names[0])
        self.strength = controls.real(
            "strength", 1.0, 0.0, 4.0, "how much of the shift is added: 0 is the base, 1 the tuned model"
        )
        self.position = controls.whole(
            "position", 0, 0, 0, "whose movers show until you point at another token"
        )
        chosen = [*self.chooser, *([self.attribute] if self.attributes else [])]
        self.arrange([self.text], [*chosen, self.strength, self.position])
        self.position.value = self.most_moved()

    def view(self) -> str:
        ids, cut = self.beginning(min(LONGEST, self.model.window) - 1)
        self.position.max = len(ids)
        self._positions = self.positions(ids)
        return shift_view(self._positions, self.position.value, self.describe(), cut)

    def most_moved(self) -> int:
        """The position whose prediction tuning changes most; 0 if nothing could be drawn."""
        divergences = [position.divergence for position in self._positions]
        return max(range(len(divergences)), key=divergences.__getitem__, default=0)

    def describe(self) -> str:
        """The settings in a few words."""
        words = [self.which.value] * len(self.chooser)
        words += [f"attribute {self.attribute.value}"] * bool(self.attributes)
        return " · ".join([*words, f"strength {self.strength.value:g}"])

    def positions(self, ids: list[int]) -> list[Position]:
        """What tuning does before the first token of the text, and after each of its tokens."""
        base, shift = self.read(ids)  # (T + 1, vocab) each
        before = base.log_softmax(dim=-1)
        after = (base + self.strength.value * shift).log_softmax(dim=-1)
        exact = self.exact(ids, self.attribute.value) if self.exact else [None] * len(base)
        divergence = (after.exp() * (after - before)).sum(dim=-1) / math.log(2)  # (T + 1,), in bits
        texts = [self.tokenizer.token_bytes(id) for id in (self.tokenizer.end_of_text, *ids)]
        rows = zip(texts, divergence.tolist(), before.exp(), after.exp(), exact, strict=True)
        return [Position(text, max(kl, 0.0), self.movers(b, a, e)) for text, kl, b, a, e in rows]

    def read(self, ids: list[int]) -> tuple[Tensor, Tensor]:
        """Logits of the base and the shift that tuning adds to them, after each token: (T + 1, vocab)."""
        record = traced(
            self.model, [self.tokenizer.end_of_text, *ids], self.attributes.get(self.attribute.value)
        )
        base, shift = record.logits.base[0].float().cpu(), record.logits.shift[0].float().cpu()
        return base, shift.clamp(-FARTHEST, FARTHEST)

    def movers(self, before: Tensor, after: Tensor, exact: Tensor | None) -> list[Mover]:
        """The tokens whose probability changes most, in order; before and after (vocab,) sum to 1."""
        moved = (after - before).abs().topk(min(N_MOVER, len(before)))
        n_listed = max(2, int((moved.values >= SMALLEST_MOVE).sum()))
        return [
            Mover(
                self.tokenizer.token_bytes(id), before[id].item(), after[id].item(),
                None if exact is None else float(exact[id]),
            )
            for id in moved.indices[:n_listed].tolist()
        ]  # fmt: skip
