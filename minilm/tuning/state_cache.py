"""Running the frozen model once for each text, however many epochs a tuning method at the logits is trained
for.

What auxiliary tuning adds comes after the base, so nothing that is learned changes what the base says of a
text. Kept are its last residual stream, from which one product makes the logits again (they would take
vocab / d_model times the room), and the lower layer whose features the auxiliary model reads.
"""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from minilm.model.cache import KVCache
from minilm.model.interface import OnBase, Output, Reading
from minilm.model.model import MiniLM
from minilm.model.passes import evaluating
from minilm.model.visibility import CAUSAL, Visibility
from minilm.system.atomic import SaveError
from minilm.system.checks import whole
from minilm.tuning.kept import multiplied_in, version
from minilm.tuning.saving import fingerprint
from minilm.tuning.state_store import RowStore
from minilm.tuning.tuned import TunedModel


class CachedBase(OnBase, nn.Module):
    """Reads and trains like a tuned model, and gives the same logits; what the base says of a text is kept.

    Entries are keyed by a hash of the tokens, so texts are never confused. Attention is causal, so hidden states
    never depend on later tokens: rows are kept with padding up to `width`, and are reused at any shorter
    length.

    Args:
        tuned: its methods must act at the logits only.
        width: tokens of the longest row that will be kept; longer ones are read again each time. None: the
            window.
        folder: keep the base's states there, for later runs and for other processes at the same time. None: in
            memory, and once they fill `memory_limit` bytes, in a temporary file.

    Raises:
        ValueError: a method acts inside the base, or the folder was made for other weights or is damaged.
        SaveError: the folder cannot be written to.
    """

    def __init__(
        self,
        tuned: TunedModel,
        width: int | None = None,
        folder: str | Path | None = None,
        memory_limit: int = 2**30,
    ):
        super().__init__()
        check_acts_after(tuned)
        self.tuned, base = tuned, tuned.base
        self.width = tuned.window if width is None else whole("width", width, 1, tuned.window)
        self.layers = kept_layers(tuned)
        self.fingerprint, self.version = fingerprint(base), version_of(base)
        about: dict[str, object] = {"fingerprint": self.fingerprint, "layers": list(self.layers)}
        shape = (len(self.layers), self.width, base.config.d_model)
        self.rows = RowStore(shape, base.dtype, memory_limit, folder, about)

    def forward(
        self,
        tokens: Tensor,
        *,
        attribute: Tensor | None = None,
        cache: KVCache | None = None,
        visibility: Visibility = CAUSAL,
    ) -> Output:
        """As `TunedModel.forward`; while decoding with a cache, while traced, and unless reading causally, the base is run."""
        base = self.tuned.frozen()
        base.check(tokens)
        anew = cache is not None or base.recorder is not None or not visibility.is_causal
        if anew or tokens.size(1) > self.width:
            output: Output = self.tuned(tokens, attribute=attribute, cache=cache, visibility=visibility)
            return output
        self.tuned.check_attribute(attribute)
        states = self.states(tokens)
        reading = Reading(base, tokens, states, base.predict(states[-1]), attribute, None)
        return Output(self.tuned.sites().shift(reading), states)

    def states(self, tokens: Tensor) -> list[Tensor]:
        """The base's residual streams, each (B, T, d), with None for layers that are not needed."""
        self.check_weights()
        padded = nn.functional.pad(tokens, (0, self.width - tokens.size(1)))  # (B, width)
        precision = str(multiplied_in(tokens.device)).encode()
        keys = [hashlib.sha256(precision + row.numpy().tobytes()).digest() for row in padded.cpu()]
        rows = self.rows.get(keys)
        rows |= self.read_new({key: row for key, row in zip(keys, padded, strict=True) if key not in rows})
        kept = torch.stack([rows[key][:, : tokens.size(1)] for key in keys])  # (B, kept, T, d)
        states: list[Any] = [None] * (self.base.config.n_layer + 1)
        for layer, state in zip(self.layers, kept.to(tokens.device).unbind(1), strict=True):
            states[layer] = state
        return states

    @torch.no_grad()
    def read_new(self, rows: dict[bytes, Tensor]) -> dict[bytes, Tensor]:
        """Run the base over rows (width,) that it has not read yet, and keep what it says: (kept, width, d) of each."""
        if not rows:
            return {}
        with evaluating(self.base):
            states = self.base(torch.stack(list(rows.values()))).states
        kept = torch.stack([states[layer] for layer in self.layers], dim=1).cpu()  # (B, kept, width, d)
        new = dict(zip(rows, kept, strict=True))
        try:
            self.rows.put(new)
        except (SaveError, ValueError) as error:
            warnings.warn(f"{error}; training continues, but reads these texts again each time", stacklevel=2)
        return new

    def check_weights(self) -> None:
        """Refuse hidden states that other weights have computed.

        Raises:
            ValueError: the base is no longer what it was.
        """
        if version_of(self.base) == self.version:
            return
        if fingerprint(self.base) != self.fingerprint:
            raise ValueError(
                "the base's weights have changed since its states were kept: make a new CachedBase for it"
            )
        self.version = version_of(self.base)

    def new_cache(self, batch_size: int, capacity: int | None = None) -> KVCache:
        """As `TunedModel.new_cache`."""
        return self.tuned.new_cache(batch_size, capacity)

    def identity(self) -> dict[str, Any]:
        """As `TunedModel.identity`: what is kept changes no result."""
        return self.tuned.identity()

    @property
    def base(self) -> MiniLM:
        """The frozen model underneath."""
        return self.tuned.base

    @property
    def takes_attribute(self) -> bool:
        """As `TunedModel.takes_attribute`."""
        return self.tuned.takes_attribute

    @property
    def window(self) -> int:
        """Tokens of text that one pass can read."""
        return self.tuned.window


def check_acts_after(tuned: TunedModel) -> None:
    """Raise ValueError unless all attached methods act at the logits only."""
    inside = sorted({site for site, _ in tuned.sites().deltas} - {"logits"})
    inside += ["the base's own weights"] if tuned.weights() else []
    if inside:
        raise ValueError(
            f"{', '.join(tuned.methods)} acts at {', '.join(inside)}: what the base says changes as it "
            "learns, and cannot be kept; auxiliary and side-tuning act at the logits only"
        )


def kept_layers(tuned: TunedModel) -> tuple[int, ...]:
    """The layers whose output is needed again: the last, and those that attachments take features from."""
    features = {getattr(each, "feature_layers", 0) for each in tuned.attachments.values()} - {0}
    return tuple(sorted(features | {tuned.config.n_layer}))


def version_of(base: MiniLM) -> tuple[object, ...]:
    """Changes with writes into weights, and costs next to nothing to look at.

    Fused optimisers write without counting it, but hardly into all weights except the last ones.
    """
    last = [weight.sum().item() for weight in base.final_norm.parameters()]
    return version(base.parameters()), last
