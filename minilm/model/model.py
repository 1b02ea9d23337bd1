"""MiniLM: a decoder of GPT-2's shape that can be read in one sitting.

Learned positions, LayerNorm before each sub-layer, tanh-approximated GELU, one embedding for reading and for predicting
(Radford et al., *Language Models are Unsupervised Multitask Learners*, 2019). Every activation that a tuning method
may change passes through `sites`; the model itself names no method.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilm.model.attention import Attended, attend
from minilm.model.cache import KVCache
from minilm.model.config import ModelConfig
from minilm.model.interface import Output, Reading
from minilm.model.passes import Pass, Recorder, conditions, unrecorded
from minilm.model.sites import NO_SITES, Sites, concatenate_rows
from minilm.model.slots import before_text
from minilm.model.tokens import check_ids, check_tokens, in_words
from minilm.model.visibility import CAUSAL, Visibility


class SelfAttention(nn.Module):
    """Each token gathers from those that it may see, through H heads of width p = d / H."""

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.layer, self.n_head, self.dropout = layer, config.n_head, config.dropout
        self.query = nn.Linear(config.d_model, config.d_model)
        self.key = nn.Linear(config.d_model, config.d_model)
        self.value = nn.Linear(config.d_model, config.d_model)
        self.output = nn.Linear(config.d_model, config.d_model)

    def forward(self, x: Tensor, context: Pass) -> Tensor:
        query, key, value = (self.project(name, x, context.sites) for name in ("query", "key", "value"))
        attended, n_memory = self.attend(query, key, value, context)
        heads, extra = context.sites.attention(self.layer, attended)  # (B, H, T, p)
        if context.recorder is not None:
            context.recorder.keep_attention(self.layer, attended, n_memory)
        joined = heads.transpose(1, 2).flatten(2)  # (B, T, d)
        y = context.sites.add("output", self.layer, joined, self.output(joined))
        return y if extra is None else y + extra

    def project(self, name: str, x: Tensor, sites: Sites) -> Tensor:
        """One of the three maps, with its deltas, split into heads: (B, T, d) -> (B, H, T, p)."""
        y = sites.add(name, self.layer, x, getattr(self, name)(x))
        heads: Tensor = y.unflatten(-1, (self.n_head, -1))
        return heads.transpose(1, 2)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, context: Pass) -> tuple[Attended, int]:
        """Attention over memory slots, cached tokens and the new ones; and how many slots there were."""
        if context.cache is not None:
            key, value = context.cache.extend(self.layer, key, value)
        memory, n_text = context.sites.memory(self.layer, query.size(0)), key.size(-2)
        if memory:
            key, value = before_text(memory, key, value)  # (B, H, l + S, p)
        dropout = self.dropout if context.training else 0.0
        attended = attend(query, key, value, context.visible(memory), dropout, context.explicit)
        return attended, key.size(-2) - n_text


class MLP(nn.Module):
    """Two maps with a GELU between them: d -> 4d -> d."""

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.layer = layer
        self.up = nn.Linear(config.d_model, config.d_mlp)
        self.down = nn.Linear(config.d_mlp, config.d_model)

    def forward(self, x: Tensor, context: Pass) -> Tensor:
        hidden = context.sites.add("up", self.layer, x, self.up(x))  # (B, T, 4d)
        hidden = F.gelu(hidden, approximate="tanh")
        return context.sites.add("down", self.layer, hidden, self.down(hidden))  # (B, T, d)


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)): the residual stream is only ever added to."""

    def __init__(self, config: ModelConfig, layer: int):
        super().__init__()
        self.layer = layer
        self.attention_norm = nn.LayerNorm(config.d_model, config.layer_norm_epsilon)
        self.attention = SelfAttention(config, layer)
        self.mlp_norm = nn.LayerNorm(config.d_model, config.layer_norm_epsilon)
        self.mlp = MLP(config, layer)
        self.dropout = config.dropout

    def forward(self, x: Tensor, context: Pass) -> Tensor:
        y = self.add_sublayer("attention_out", self.attention, self.attention_norm(x), x, context)
        y = self.add_sublayer("mlp", self.mlp, self.mlp_norm(y), y, context)
        return context.sites.add("block", self.layer, x, y)

    def add_sublayer(
        self, site: str, sublayer: nn.Module, x: Tensor, residual: Tensor, context: Pass
    ) -> Tensor:
        """residual + sublayer(x), with the deltas at the sub-layer's site added before the sum."""
        y = context.sites.add(site, self.layer, x, sublayer(x, context))
        return residual + context.drop(y, self.dropout)


class MiniLM(nn.Module):
    """The language model: tokens (B, T) to next-token logits (B, T, vocab)."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.position_embedding = nn.Embedding(config.context_length, config.d_model)
        self.blocks = nn.ModuleList(Block(config, layer) for layer in range(config.n_layer))
        self.final_norm = nn.LayerNorm(config.d_model, config.layer_norm_epsilon)
        self.dropout = config.dropout
        self.explicit_attention = False
        """True makes every pass use the attention one can read instead of the fused kernel."""
        self._original: tuple[MiniLM, ...] = ()
        self.apply(self._initialise)
        self._shrink_residual_maps()

    def forward(
        self,
        tokens: Tensor,
        *,
        attribute: Tensor | None = None,
        cache: KVCache | None = None,
        sites: Sites = NO_SITES,
        visibility: Visibility = CAUSAL,
    ) -> Output:
        """Next-token logits for tokens (B, T) of int64.

        Args:
            attribute: (B, m) tokens, for deltas at the `logits` site that take one.
            cache: keys and values of earlier passes; then `tokens` are only the new ones.
            sites: what is added, and where.
            visibility: who may look at whom; `FULL` makes an encoder.

        Raises:
            ValueError: tokens are not a non-empty (B, T) of ids below the vocabulary size, they reach
                beyond the context, nothing at the sites can read the attribute, or the visibility is not one.
        """
        self.check(tokens)
        if attribute is not None and not sites.at("logits"):
            raise ValueError("attribute must be None: nothing that reads one is attached to this model")
        if not isinstance(visibility, Visibility):
            raise ValueError(f"visibility must be a Visibility such as CAUSAL, not {in_words(visibility)}")
        context = self.new_pass(sites, cache, visibility)
        states = [self.embed(tokens, context)]
        for block in self.blocks:
            states.append(block(states[-1], context))
        if cache is not None:
            cache.advance(states[0].size(1))
        states = [state[:, -tokens.size(1) :] for state in states]  # virtual rows predict nothing
        logits = self.predict(states[-1])
        reading = Reading(self, tokens, states, logits, attribute, cache, visibility)
        return Output(self.shift(reading, context), states)

    def new_pass(
        self, sites: Sites = NO_SITES, cache: KVCache | None = None, visibility: Visibility = CAUSAL
    ) -> Pass:
        """What a pass carries that begins now, in this thread."""
        here, original = conditions(), self.original
        recorder = here.recorder_of(original)
        explicit = here.explicit or original.explicit_attention or recorder is not None
        training = self.training and not here.evaluating
        return Pass(sites, cache, visibility, recorder=recorder, explicit=explicit, training=training)

    def embed(self, tokens: Tensor, context: Pass) -> Tensor:
        """Token plus position embeddings (B, l + T, d), with the l virtual rows of the `embedding` site first."""
        x, start = self.token_embedding(tokens), context.sites.position_offset
        if context.cache is None or context.cache.length == 0:
            x = concatenate_rows(context.sites.embedding_rows(tokens.size(0)), x)
        context.note_virtual(x.size(1) - tokens.size(1))
        positions = (
            torch.arange(x.size(1), device=x.device)
            if context.cache is None
            else context.cache.positions(x.size(1))
        )
        self.check_length(start + (x.size(1) if context.cache is None else context.cache.length + x.size(1)))
        return context.drop(x + self.position_embedding(start + positions), self.dropout)

    def predict(self, state: Tensor) -> Tensor:
        """Logits (B, T, vocab) read off a residual stream (B, T, d), by the same embedding that wrote it."""
        return F.linear(self.final_norm(state), self.token_embedding.weight)

    def shift(self, reading: Reading, context: Pass) -> Tensor:
        """The logits with the deltas of the `logits` site. A delta may run this very model; only the outer pass is recorded."""
        if context.recorder is None:
            return context.sites.shift(reading)
        with unrecorded(self.original):
            combined = context.sites.shift(reading)
        context.recorder.keep_logits(reading, combined)
        return combined

    def new_cache(self, batch_size: int, capacity: int | None = None) -> KVCache:
        """An empty cache on the model's device; `capacity` defaults to the context length."""
        return KVCache(self.config, batch_size, capacity, self.device, self.dtype)

    @property
    def original(self) -> MiniLM:
        """The model whose weights these are: itself, unless this is how a tuned model reads its base."""
        return self._original[0] if self._original else self

    @property
    def recorder(self) -> Recorder | None:
        """The recorder of this model's passes in this thread, if there is one."""
        return conditions().recorder_of(self.original)

    def identity(self) -> dict[str, Any]:
        """What decides its results besides its weights, for a training run to know its checkpoint by."""
        return asdict(self.config)

    @property
    def base(self) -> MiniLM:
        """A base is its own."""
        return self

    @property
    def takes_attribute(self) -> bool:
        """Whether it reads an attribute: only tuned models may."""
        return False

    @property
    def window(self) -> int:
        """Tokens of text that one pass can read."""
        return self.config.context_length

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.token_embedding.weight.device

    @property
    def dtype(self) -> torch.dtype:
        """The weights' precision."""
        return self.token_embedding.weight.dtype

    def check(self, tokens: Tensor) -> None:
        """Refuse tokens that are not a (B, T) of known ids; in a training step on an accelerator their values go unchecked."""
        check_tokens(tokens)
        if torch.compiler.is_compiling() or (tokens.device.type != "cpu" and torch.is_grad_enabled()):
            return  # looking at values would make the accelerator wait
        check_ids(tokens, self.config.vocab_size)

    def check_length(self, n_position: int) -> None:
        """Refuse to read beyond the learned positions."""
        if n_position > self.config.context_length:
            raise ValueError(
                f"{n_position} positions do not fit into a context of {self.config.context_length}: pass the last "
                f"{self.config.context_length} tokens, or let generate(..., slide=True) move the window"
            )

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)

    def _shrink_residual_maps(self) -> None:
        """GPT-2's scaling: 2L sub-layers add to the stream, so each starts smaller by the root of 2L."""
        for block in cast(Iterable[Block], self.blocks):
            for linear in (block.attention.output, block.mlp.down):
                nn.init.normal_(linear.weight, std=0.02 / (2 * self.config.n_layer) ** 0.5)
