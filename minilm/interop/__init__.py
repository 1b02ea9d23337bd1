"""To and from the reference libraries: the same weights, the same numbers."""

from minilm.interop.peft import save_peft
from minilm.interop.peft_reading import load_peft
from minilm.interop.transformers import from_transformers, to_transformers

__all__ = ["from_transformers", "load_peft", "save_peft", "to_transformers"]
