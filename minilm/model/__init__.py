"""The transformer: its shape, its forward pass, the places where tuning may act, and how to look inside."""

from minilm.model.config import PRESETS, ModelConfig
from minilm.model.interface import Output
from minilm.model.model import MiniLM
from minilm.model.passes import Pass, evaluating
from minilm.model.tokens import check_ids

__all__ = ["PRESETS", "MiniLM", "ModelConfig", "Output", "Pass", "check_ids", "evaluating"]
