"""The shift of logits under the reader's hands: any tuned model, any text, any strength."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from lessons.widgets import controls
from lessons.widgets.explorer import Explorer
from lessons.widgets.views.shift import Mover, Position, shift_view
from minilm import BPETokenizer, trace

LONGEST = 64
N_MOVER, SMALLEST_MOVE = 10, 5e-4
"""Tokens listed for a position: so many at most, and none whose probability moves by less, but two at least."""

FARTHEST = 100.0
"""Nats that a shift counts at most, so that tokens ruled out altogether (minus infinity) still are numbers."""

Exact = Callable[[list[int], str], Tensor]
"""From token ids and the name of an attribute to the exact shift of log-probabilities (len(ids) + 1, vocab), in nats."""


class ShiftExplorer(Explorer):
    """For each position of a text: which next tokens tuning makes likelier, which less likely, and by how much.

        ShiftExplorer(tuned, tok, text)                                   # any method: LoRA, prefix, auxiliary, ...
        ShiftExplorer({"LoRA": a, "auxiliary": b}, tok, text, attributes={"because": tok.encode(" because")},
                      exact=lambda ids, name: oracle.shift(ids, ("keyword", name)))

    Args:
        model: a tuned model, or several by name.
        text: at most 64 tokens of it are shown; the model reads it after the end-of-text token.
        attributes: token ids by name, for methods that take one; choosing one hands it to the model.
        exact: what the shift should be, where that is known; drawn as a mark on each bar.
    """

    def __init__(
        self,
        model,
        tokenizer: BPETokenizer,
        text: str,
        *,
        attributes: Mapping[str, list[int]] | None = None,
        exact: Exact | None = None,
    ):
        super().__init__()
        self.models = dict(model) if isinstance(model, Mapping) else {"model": model}
        self.tokenizer, self.attributes, self.exact = tokenizer, dict(attributes or {}), exact
        self._positions: list[Position] = []
        self.text = controls.line("text", text, "Enter shows it")
        self.which = controls.choice("model", list(self.models), next(iter(self.models)))
        self.attribute = controls.choice(
            "attribute", list(self.attributes) or ["none"], next(iter(self.attributes), "none")
        )
        self.strength = controls.real(
            "strength", 1.0, 0.0, 4.0, "how much of the shift is added: 0 is the base, 1 the tuned model"
        )
        self.position = controls.whole(
            "position", 0, 0, 0, "whose movers show until you point at another token"
        )
        chosen = [
            *([self.which] if len(self.models) > 1 else []),
            *([self.attribute] if self.attributes else []),
        ]
        self.arrange([self.text], [*chosen, self.strength, self.position])
        self.position.value = self.most_moved()

    def summary(self) -> str:
        return f"ShiftExplorer({', '.join(self.models)})"

    def view(self) -> str:
        ids = self.tokenizer.encode(self.text.value)[: min(LONGEST, self.models[self.which.value].window) - 1]
        self.position.max = len(ids)
        self._positions = self.positions(ids)
        return shift_view(self._positions, self.position.value, self.describe())

    def most_moved(self) -> int:
        """The position whose prediction tuning moves furthest; 0 if nothing could be drawn."""
        moved = [position.divergence for position in self._positions]
        return max(range(len(moved)), key=moved.__getitem__, default=0)

    def describe(self) -> str:
        """The settings in a few words."""
        said = [self.which.value] * (len(self.models) > 1) + [f"attribute {self.attribute.value}"] * bool(
            self.attributes
        )
        return " · ".join([*said, f"strength {self.strength.value:g}"])

    def positions(self, ids: list[int]) -> list[Position]:
        """What tuning does after the beginning of the text, and after each of its tokens."""
        base, shift = self.read(ids)  # (T + 1, vocab) each
        before = base.log_softmax(dim=-1)
        after = (base + self.strength.value * shift).log_softmax(dim=-1)
        exact = self.exact(ids, self.attribute.value) if self.exact else [None] * len(base)
        divergence = (after.exp() * (after - before)).sum(dim=-1) / torch.log(torch.tensor(2.0))  # (T + 1,)
        texts = [self.tokenizer.token_bytes(id) for id in (self.tokenizer.end_of_text, *ids)]
        rows = zip(texts, divergence.tolist(), before.exp(), after.exp(), exact, strict=True)
        return [Position(text, max(kl, 0.0), self.movers(b, a, e)) for text, kl, b, a, e in rows]

    @torch.no_grad()
    def read(self, ids: list[int]) -> tuple[Tensor, Tensor]:
        """Logits of the base and the shift that tuning adds to them, after each token: (T + 1, vocab)."""
        model, chosen = self.models[self.which.value], self.attributes.get(self.attribute.value)
        tokens = torch.tensor([[self.tokenizer.end_of_text, *ids]], device=model.device)
        options = {} if chosen is None else {"attribute": torch.tensor([chosen], device=model.device)}
        with trace(model) as seen:
            model(tokens, **options)
        base, shift = seen.logits.base[0].float().cpu(), seen.logits.shift[0].float().cpu()
        return base, shift.clamp(-FARTHEST, FARTHEST)

    def movers(self, before: Tensor, after: Tensor, exact: Tensor | None) -> list[Mover]:
        """The tokens that move most, by moved probability; before and after (vocab,) sum to 1."""
        moved = (after - before).abs().topk(min(N_MOVER, len(before)))
        n_listed = max(2, int((moved.values >= SMALLEST_MOVE).sum()))
        ranked = moved.indices[:n_listed].tolist()
        return [
            Mover(
                self.tokenizer.token_bytes(id),
                before[id].item(),
                after[id].item(),
                None if exact is None else float(exact[id]),
            )
            for id in ranked
        ]
