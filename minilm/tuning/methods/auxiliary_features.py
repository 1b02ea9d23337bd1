"""Auxiliary tuning with feature extraction: the small model reads what the frozen one's lower layers made
of the text.

    h_att = Proj(T_LM^{1..L}(a E_LM)) + Z_att        h_txt = Proj(T_LM^{1..L}(x E_LM)) + Z_txt
    z_AUX = Proj'(T_AUX([h_att ; h_txt])) E_LM^T

Attribute and text go through the base apart, both from position 0, so that the text's features are those of
the pass that is under way anyway. E_LM is the base's and stays as it is, but gradients pass through the
product with it. Proj begins with a LayerNorm without weights: like the base's own blocks it reads a residual
stream, whose length may be a hundred times that of anything T_AUX adds to it.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minilm.model.cache import KVCache
from minilm.model.config import ModelConfig
from minilm.model.interface import Decoder, Reading
from minilm.model.model import MiniLM
from minilm.model.passes import Pass


class FeatureNetwork(nn.Module):
    """T_AUX between two projections. It has neither embeddings nor positions: the features carry both.

    Args:
        config: T_AUX's shape.
        d_base: width of the base.
        n_feature: L, how many of the base's layers extract features.
    """

    def __init__(self, config: ModelConfig, d_base: int, n_feature: int):
        super().__init__()
        trunk = MiniLM(config)  # for blocks that start as GPT-2's do
        self.n_feature = n_feature
        self.blocks, self.final_norm = trunk.blocks, trunk.final_norm
        self.project_in = nn.Linear(d_base, config.d_model, bias=False)
        self.project_out = nn.Linear(config.d_model, d_base, bias=False)
        self.segments = nn.Parameter(torch.randn(2, config.d_model))
        """Z_att and Z_txt, at first about as long as what they are added to."""
        nn.init.zeros_(self.project_out.weight)

    def forward(
        self, reading: Reading, attribute: Tensor | None, cache: KVCache | None, strength: float
    ) -> Tensor:
        """strength z_AUX (B, T, vocab) for the tokens of a pass."""
        n_token = reading.tokens.size(1)
        context = Pass(cache=cache, visibility=reading.visibility)
        context.note_virtual(0 if attribute is None else attribute.size(1))
        x = self.read(reading.states[self.n_feature]) + self.segments[1]  # (B, T, d_aux)
        if attribute is not None:
            of_attribute = self.read(self.encode(reading.model, attribute)) + self.segments[0]
            x = torch.cat([of_attribute, x], dim=1)  # (B, m + T, d_aux)
        for block in self.blocks:
            x = block(x, context)
        h = strength * self.project_out(self.final_norm(x[:, -n_token:]))  # (B, T, d)
        return F.linear(h, reading.model.token_embedding.weight.to(h.dtype))

    def read(self, states: Tensor) -> Tensor:
        """Proj: the base's residual stream (B, T, d) to (B, T, d_aux)."""
        states = states.to(self.project_in.weight.dtype)
        projected: Tensor = self.project_in(F.layer_norm(states, states.shape[-1:]))
        return projected

    def encode(self, base: Decoder, attribute: Tensor) -> Tensor:
        """T_LM^{1..L}(a E_LM): the attribute (B, m) through the base's first layers, (B, m, d)."""
        base.check(attribute)
        context = base.new_pass()
        x = base.embed(attribute, context)
        for block in base.blocks[: self.n_feature]:
            x = block(x, context)
        return x
