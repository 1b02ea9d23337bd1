"""The transformer: its shape, its forward pass, the places where tuning may act, and how to look inside."""

from minilm.model.config import PRESETS, ModelConfig
from minilm.model.model import MiniLM, Output, Pass, check_ids, evaluating

__all__ = ["PRESETS", "MiniLM", "ModelConfig", "Output", "Pass", "check_ids", "evaluating"]
