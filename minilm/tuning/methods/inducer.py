"""Inducer-tuning: one virtual key and value for every query, placed where that query is (Chen et al. 2022).

*Inducer-tuning: Connecting Prefix-tuning and Adapter-tuning* reads attention as a kernel smoother and a prefix as a set
of inducing points. Fixed points are far from most queries, and far points weigh little; so each query gets one near it:

    P_k = q + f_k(q)                                     the virtual key
    lambda = sigma(q P_k / sqrt(p) - logsumexp_j(q k_j / sqrt(p)))      the attention it would take
    P_v = o + f_v(q)                                     the virtual value, o being the attention over the text
    (1 - lambda) o + lambda P_v = o + lambda f_v(q)      Eq. 8

A virtual pair belongs to its own query: no other query sees it, no mask needs a column for it, no cache keeps it.
Extended (Eqs. 9 and 11), the value reaches beyond its head, over all d coordinates of the layer's output:

    y = concat(o) W_o + b_o + sum_h lambda_h tanh(q_h A_h + a_h) W_h + b

The ablations of the paper: Adaptive (P_k = q, not extended), Extension (P_k = q, extended), and Gating (P_v = f_v, so that
the text's share shrinks to 1 - lambda, as with a prefix). All maps are per head, with a tanh between them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilm.model.attention import Attended
from minilm.model.model import MiniLM
from minilm.model.passes import dropout
from minilm.model.sites import AttentionDelta, Delta, Place
from minilm.system.checks import flag, number, one_of, share, whole
from minilm.tuning.linear_maps import linear_at
from minilm.tuning.method import Attachment, Method
from minilm.tuning.methods.gate import gate
from minilm.tuning.methods.lora import LoRA, LowRank

INITS = ("identity", "reference")


@dataclass(frozen=True)
class Inducer(Method):
    """Settings of inducer-tuning and its variants.

    Raises:
        ValueError: a setting is out of range.
    """

    name: ClassVar[str] = "inducer"
    acts_at: ClassVar[str] = "attention (query)"
    published: ClassVar[dict[str, Any]] = {
        "learning_rate": 1.25e-3,
        "warmup_steps": 500,
        "label_smoothing": 0.1,
    }

    key_bottleneck: int = 10
    """r_k, width inside f_k; 0 leaves the virtual key on the query itself."""
    value_bottleneck: int = 15
    """r_v, width inside f_v."""
    extend_value: bool = True
    """Values of width d, added after the output map; False: of width p, added to the head's output."""
    gating: bool = False
    """P_v = f_v instead of o + f_v."""
    init: str = "identity"
    """"identity" starts with f_v = 0, hence at the base, unless `gating` takes the share lambda away from the text;
    "reference" starts with every tensor from a normal distribution of standard deviation 0.01, as published."""
    query_rank: int = 0
    """Rank of a LoRA on the query, with a bias, that f_k and f_v then see; 0 is none."""
    query_alpha: float = 32.0
    """Its alpha."""
    query_dropout: float = 0.1
    """Its dropout."""

    def __post_init__(self) -> None:
        one_of("init", self.init, INITS)
        for name, least in {"key_bottleneck": 0, "value_bottleneck": 1, "query_rank": 0}.items():
            whole(name, getattr(self, name), least)
        for name in ("extend_value", "gating"):
            flag(name, getattr(self, name))
        number("query_alpha", self.query_alpha)
        share("query_dropout", self.query_dropout)

    @classmethod
    def adaptive(cls, value_bottleneck: int = 108, **settings: Any) -> Inducer:
        """The query as its own key, values within their head."""
        return cls(0, value_bottleneck, extend_value=False, **settings)

    @classmethod
    def extension(cls, value_bottleneck: int = 16, **settings: Any) -> Inducer:
        """The query as its own key, values over the whole width."""
        return cls(0, value_bottleneck, **settings)

    @classmethod
    def gating_variant(cls, key_bottleneck: int = 10, value_bottleneck: int = 15, **settings: Any) -> Inducer:
        """Renormalised: what the virtual value gains, the text loses. It has no start at the base."""
        return cls(key_bottleneck, value_bottleneck, gating=True, **settings)

    @classmethod
    def with_lora(
        cls, key_bottleneck: int = 5, value_bottleneck: int = 12, query_rank: int = 24, **settings: Any
    ) -> Inducer:
        """Inducer + LoRA of the paper."""
        return cls(key_bottleneck, value_bottleneck, query_rank=query_rank, **settings)

    @property
    def query_lora(self) -> LoRA:
        """The part that adapts the query."""
        return LoRA(self.query_rank, self.query_alpha, ("query",), self.query_dropout, bias=True)

    def build(self, base: MiniLM) -> InducerAttachment:
        return InducerAttachment(base, self)


class InducerAttachment(Attachment):
    """One `LayerInducer` in every layer and, where asked for, one `AdaptedQuery`."""

    def __init__(self, base: MiniLM, settings: Inducer):
        super().__init__()
        shape = base.config
        self.inducers = nn.ModuleList(
            LayerInducer(shape.n_head, shape.head_size, settings) for _ in range(shape.n_layer)
        )
        adapted = range(shape.n_layer if settings.query_rank else 0)
        self.queries = nn.ModuleList(
            AdaptedQuery(linear_at(base, "query", layer), settings.query_lora) for layer in adapted
        )

    def deltas(self) -> dict[Place, Delta]:
        inducers = {("attention", layer): each for layer, each in enumerate(self.inducers)}
        changes = {("query", layer): each for layer, each in enumerate(self.queries)}
        return {place: cast(Delta, each) for place, each in {**inducers, **changes}.items()}


class AdaptedQuery(LowRank):
    """LoRA as it was published with inducers: alpha / rank scales the bias too."""

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x = dropout(x, self.dropout, self)
        change = (x @ self.A) @ self.B  # (B, T, d)
        return self.scale * (change if self.bias is None else change + self.bias)


class LayerInducer(nn.Module):
    """What the inducers of one layer add to its attention."""

    def __init__(self, n_head: int, head_size: int, settings: Inducer):
        super().__init__()
        self.gating = settings.gating
        self.key = HeadMLP(n_head, head_size, settings.key_bottleneck) if settings.key_bottleneck else None
        make_value = ExtendedValue if settings.extend_value else HeadValue
        self.value = make_value(n_head, head_size, settings.value_bottleneck)
        for parameter in self.parameters():
            nn.init.trunc_normal_(parameter, std=0.01)
        if settings.init == "identity":
            self.value.start_at_zero()

    def forward(self, attended: Attended) -> AttentionDelta:
        share = gate(attended, self.own_score(attended.query))  # (B, H, T): lambda
        lost = -share.unsqueeze(-1) * attended.output if self.gating else None  # (B, H, T, p)
        # Attention dropout falls on the virtual slot as on any other; what the text keeps has had its own.
        share = F.dropout(share, attended.dropout, training=attended.dropout > 0)
        gained: AttentionDelta = self.value(attended.query, share)
        return (
            gained
            if lost is None
            else gained._replace(heads=lost if gained.heads is None else lost + gained.heads)
        )

    def own_score(self, query: Tensor) -> Tensor:
        """q P_k / sqrt(p) of each query (B, H, T, p) with its own virtual key: (B, H, T)."""
        virtual_key = query if self.key is None else query + self.key(query)  # (B, H, T, p)
        score: Tensor = (query * virtual_key).sum(dim=-1) * query.size(-1) ** -0.5
        return score


class HeadMLP(nn.Module):
    """tanh(x A + a) B + b in each head, from (B, H, T, p) to the same shape."""

    def __init__(self, n_head: int, head_size: int, bottleneck: int):
        super().__init__()
        self.A = nn.Parameter(torch.empty(n_head, head_size, bottleneck))
        self.a = nn.Parameter(torch.empty(n_head, 1, bottleneck))
        self.B = nn.Parameter(torch.empty(n_head, bottleneck, head_size))
        self.b = nn.Parameter(torch.empty(n_head, 1, head_size))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(in_each_head(x, self.A) + self.a)  # (B, H, T, r)
        return in_each_head(hidden, self.B) + self.b  # (B, H, T, p)


class HeadValue(HeadMLP):
    """f_v that stays in its head: all of it is weighed by the gate."""

    def forward(self, query: Tensor, gate: Tensor) -> AttentionDelta:  # type: ignore[override]  # it is no map
        return AttentionDelta(heads=gate.unsqueeze(-1) * super().forward(query))  # (B, H, T, p)

    def start_at_zero(self) -> None:
        """f_v = 0."""
        nn.init.zeros_(self.B)
        nn.init.zeros_(self.b)


class ExtendedValue(nn.Module):
    """f_v over the whole width d: a map W of its own for each head, and one bias, which no gate weighs."""

    def __init__(self, n_head: int, head_size: int, bottleneck: int):
        super().__init__()
        d_model = n_head * head_size
        self.A = nn.Parameter(torch.empty(n_head, head_size, bottleneck))
        self.a = nn.Parameter(torch.empty(n_head, 1, bottleneck))
        self.W = nn.Parameter(torch.empty(n_head, bottleneck, d_model))
        self.b = nn.Parameter(torch.empty(d_model))

    def forward(self, query: Tensor, gate: Tensor) -> AttentionDelta:
        hidden = torch.tanh(in_each_head(query, self.A) + self.a)  # (B, H, T, r)
        weighed = (gate.unsqueeze(-1) * hidden).transpose(1, 2).flatten(2)  # (B, T, H r)
        return AttentionDelta(output=weighed @ self.W.flatten(0, 1) + self.b)  # sums over heads: (B, T, d)

    def start_at_zero(self) -> None:
        """f_v = 0."""
        nn.init.zeros_(self.W)
        nn.init.zeros_(self.b)


def in_each_head(x: Tensor, weight: Tensor) -> Tensor:
    """x (B, H, T, i) through each head's own map (H, i, o): (B, H, T, o)."""
    return torch.einsum("bhti,hio->bhto", x, weight)
