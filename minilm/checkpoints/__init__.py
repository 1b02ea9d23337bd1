"""Models on disk: folders in GPT-2's published layout, as safetensors and JSON."""

from minilm.checkpoints.folders import load_pretrained, save_pretrained
from minilm.checkpoints.tensors import CheckpointError

__all__ = ["CheckpointError", "load_pretrained", "save_pretrained"]
