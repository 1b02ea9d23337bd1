"""Prefix-tuning: extra keys and values in every layer, that every token may attend to (Li & Liang 2021).

    attention of q over [P_k ; K], [P_v ; V]  =  (1 - g) attention(q, K, V) + g attention(q, P_k, P_v)

where the gate g is the share of attention that goes to the prefix (He et al. 2022, Eq. 7). Trained directly, keys and
values move erratically; so they are produced by a small network from an embedding of each slot,

    Embedding(l, d) -> Linear(d, hidden) -> tanh -> Linear(hidden, 2 L d)

which is dropped when training is over: what it produces is all that is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from minilm.model.model import MiniLM
from minilm.model.passes import evaluating
from minilm.model.sites import Delta, MemoryDelta, Place
from minilm.model.slots import Memory
from minilm.system.checks import flag, whole
from minilm.tuning.kept import Kept
from minilm.tuning.method import Attachment, Method, check_shapes
from minilm.tuning.methods.prompt import check_virtual_tokens, token_ids


@dataclass(frozen=True)
class Prefix(Method):
    """Settings of prefix-tuning.

    Raises:
        ValueError: a setting is out of range.
    """

    name: ClassVar[str] = "prefix"
    acts_at: ClassVar[str] = "memory"
    published: ClassVar[dict[str, Any]] = {"learning_rate": 5e-5, "warmup_steps": 0}
    suited: ClassVar[dict[str, Any]] = {"learning_rate": 1e-3}

    length: int = 8
    """l, slots in every layer."""
    reparameterize: bool = True
    """Train the network that produces keys and values, not these themselves."""
    hidden: int = 512
    """Width of that network."""
    init: str | tuple[int, ...] = "vocabulary"
    """Whose keys and values in the frozen model are the start: "vocabulary" (tokens drawn at random), or the ids of `length`
    tokens. "random" starts from noise, which draws attention away from the text before anything is learnt."""
    shift_positions: bool = False
    """True numbers the text from l on, as if the slots were tokens (the reference does, and peft); False, from 0."""
    fit_steps: int = 500
    """Steps to fit the network to the keys and values of `init`."""

    def __post_init__(self) -> None:
        check_virtual_tokens(self.length, self.init, ("random", "vocabulary"))
        whole("hidden", self.hidden, least=1)
        whole("fit_steps", self.fit_steps, least=0)
        flag("reparameterize", self.reparameterize)
        flag("shift_positions", self.shift_positions)

    def as_stored(self) -> Prefix:
        return replace(self, reparameterize=False, init="random")

    def build(self, base: MiniLM) -> PrefixAttachment:
        return PrefixAttachment(base, self)


class PrefixAttachment(Attachment):
    """Keys and values for all layers, (L, 2, H, l, p), and while training the network behind them."""

    def __init__(self, base: MiniLM, settings: Prefix):
        super().__init__()
        shape = base.config
        self.shape = (shape.n_layer, 2, shape.n_head, settings.length, shape.head_size)
        self.position_offset = settings.length if settings.shift_positions else 0
        start = first_keys_and_values(base, settings)
        self.network = PrefixNetwork(self.shape, settings.hidden) if settings.reparameterize else None
        if self.network is None:
            self.slots = nn.Parameter(torch.empty(self.shape).normal_(std=0.02) if start is None else start)
        elif start is not None:
            self.network.fit(start, settings.fit_steps)
        self._produced = Kept()

    def produce(self) -> Tensor:
        """(L, 2, H, l, p). Where nothing is trained they are produced once and kept."""
        if self.network is None:
            return self.slots
        made: Tensor = self._produced.get(self.training, self.network.first.weight, self.network)
        return made

    def deltas(self) -> dict[Place, Delta]:
        layers = self.produce().unbind()
        return {("memory", layer): _shared_by_rows(slots) for layer, slots in enumerate(layers)}

    def stored(self) -> dict[str, Tensor]:
        return {"slots": self.produce().detach().contiguous()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Keys and values are taken as they are; the network that produced them is gone."""
        check_shapes({"slots": self.shape}, tensors)
        self.network = None
        self.slots = nn.Parameter(tensors["slots"].clone())

    def train(self, mode: bool = True) -> PrefixAttachment:
        self._produced.forget()
        return super().train(mode)


def _shared_by_rows(slots: Tensor) -> MemoryDelta:
    """A delta that hands the same keys and values (H, l, p) to every row."""
    keys, values = slots
    return lambda batch_size: Memory(
        keys.expand(batch_size, -1, -1, -1), values.expand(batch_size, -1, -1, -1)
    )


class PrefixNetwork(nn.Module):
    """Produces keys and values of shape (L, 2, H, l, p) from one embedding a slot."""

    def __init__(self, shape: tuple[int, ...], hidden: int):
        super().__init__()
        n_layer, _, n_head, length, head_size = self.shape = shape
        d_model = n_head * head_size
        self.embedding = nn.Embedding(length, d_model)
        self.first = nn.Linear(d_model, hidden)
        self.second = nn.Linear(hidden, n_layer * 2 * d_model)

    def forward(self) -> Tensor:
        n_layer, two, n_head, length, head_size = self.shape
        flat: Tensor = self.second(torch.tanh(self.first(self.embedding.weight)))  # (l, L 2 d)
        return flat.view(length, n_layer, two, n_head, head_size).permute(1, 2, 3, 0, 4)

    def fit(self, target: Tensor, steps: int) -> None:
        """Move what it produces towards given keys and values: Adam, learning rate 1e-4, squared error."""
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-4)
        for _ in range(steps):
            optimizer.zero_grad()
            (self() - target).square().mean().backward()
            optimizer.step()


def first_keys_and_values(base: MiniLM, settings: Prefix) -> Tensor | None:
    """Where keys and values (L, 2, H, l, p) start; None for noise, and for a base without memory or with a short context."""
    if settings.init == "random" or base.device.type == "meta":
        return None
    if settings.init == "vocabulary" and settings.length > base.config.context_length:
        return None
    if settings.init == "vocabulary":
        return keys_and_values(base, torch.randint(base.config.vocab_size, (settings.length,)))
    return keys_and_values(base, token_ids(cast(tuple[int, ...], settings.init), base))


@torch.no_grad()
def keys_and_values(base: MiniLM, tokens: Tensor) -> Tensor:
    """What the frozen model computes for some tokens (l,): (L, 2, H, l, p)."""
    cache = base.new_cache(1, len(tokens))
    with evaluating(base):
        base(tokens[None].to(base.device), cache=cache)
    return torch.stack([cache.keys[:, 0], cache.values[:, 0]], dim=1)
