"""Tuning a frozen model: every method adds a delta at a named site; see `minilm.tuning.method`.

tuned = tuning.attach(model, tuning.LoRA(rank=8))
train(tuned, batches, tuning.LoRA().recipe(steps=300, learning_rate=3e-3))
tuned.save("my_adapter"); base = tuned.detach()
"""

from minilm.tuning.attributes import encode_attributes
from minilm.tuning.count import Count, ParameterCount
from minilm.tuning.guidance import strength
from minilm.tuning.loading import load
from minilm.tuning.method import Attachment, Method
from minilm.tuning.methods.adapter import Adapter
from minilm.tuning.methods.auxiliary import Auxiliary
from minilm.tuning.methods.bitfit import BitFit
from minilm.tuning.methods.fine_tuning import FullFineTuning
from minilm.tuning.methods.inducer import Inducer
from minilm.tuning.methods.lora import LoRA
from minilm.tuning.methods.mam import MAM
from minilm.tuning.methods.mam_inducer import MAMInducer
from minilm.tuning.methods.parallel_adapter import ParallelAdapter
from minilm.tuning.methods.prefix import Prefix
from minilm.tuning.methods.prompt import Prompt
from minilm.tuning.methods.side import Side
from minilm.tuning.registry import METHODS, count_on, table
from minilm.tuning.state_cache import CachedBase
from minilm.tuning.tuned import TunedModel, attach

__all__ = [
    "MAM",
    "METHODS",
    "Adapter",
    "Attachment",
    "Auxiliary",
    "BitFit",
    "CachedBase",
    "Count",
    "FullFineTuning",
    "Inducer",
    "LoRA",
    "MAMInducer",
    "Method",
    "ParallelAdapter",
    "ParameterCount",
    "Prefix",
    "Prompt",
    "Side",
    "TunedModel",
    "attach",
    "count_on",
    "encode_attributes",
    "load",
    "strength",
    "table",
]
