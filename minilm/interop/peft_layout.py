"""How `peft` names the parts of a LoRA on a model of GPT-2's shape."""

from __future__ import annotations

import re

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
FUSED = ("query", "key", "value")
"""The sites that share `c_attn`, in its order."""
MODULES = {"attn.c_attn": FUSED, "attn.c_proj": ("output",), "mlp.c_fc": ("up",), "mlp.c_proj": ("down",)}
"""GPT-2's map -> the sites it holds."""
LORA_KEY = re.compile(r"base_model\.model\.transformer\.h\.(\d{1,6})\.(\w+\.\w+)\.lora_([AB])\.(weight|bias)")
KEY = "base_model.model.transformer.h.{layer}.{module}.lora_{factor}.{kind}"
COMMON = {"base_model_name_or_path": None, "inference_mode": True, "task_type": "CAUSAL_LM"}
PROMPTS = "prompt_embeddings"
"""The one tensor of a prefix, (l, L 2 d)."""


def module_of(site: str) -> str:
    """The map of GPT-2 that holds a site."""
    return next(module for module, sites in MODULES.items() if site in sites)
