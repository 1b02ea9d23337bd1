"""Models on disk: folders in GPT-2's published layout, as safetensors and JSON."""

from minilm.checkpoints.folders import load_pretrained, save_pretrained
from minilm.system.errors import CheckpointError, SaveError

__all__ = ["CheckpointError", "SaveError", "load_pretrained", "save_pretrained"]
