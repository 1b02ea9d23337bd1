"""Tuning a frozen model: every method adds a delta at a named site; see `minilm.tuning.method`.

>>> tuned = tuning.attach(model, tuning.LoRA(rank=8))
>>> train(tuned, batches, tuning.LoRA().recipe(steps=300, learning_rate=3e-3))
>>> tuned.save("my_adapter"); base = tuned.detach()
"""

from minilm.tuning.adapter import Adapter
from minilm.tuning.attributes import encode_attributes
from minilm.tuning.auxiliary import Auxiliary
from minilm.tuning.bitfit import BitFit
from minilm.tuning.cached_base import CachedBase
from minilm.tuning.experts import Experts
from minilm.tuning.fine_tuning import FullFineTuning
from minilm.tuning.inducer import Inducer
from minilm.tuning.loading import load
from minilm.tuning.lora import LoRA
from minilm.tuning.mam import MAM
from minilm.tuning.mam_inducer import MAMInducer
from minilm.tuning.method import Attachment, Method
from minilm.tuning.parallel_adapter import ParallelAdapter
from minilm.tuning.pplm import PPLM
from minilm.tuning.prefix import Prefix
from minilm.tuning.prompt import Prompt
from minilm.tuning.properties import Properties, comparison, properties
from minilm.tuning.registry import METHODS, count_on, table
from minilm.tuning.side import Side
from minilm.tuning.strengths import strength
from minilm.tuning.tuned import Count, TunedModel, attach

__all__ = [
    "MAM",
    "METHODS",
    "PPLM",
    "Adapter",
    "Attachment",
    "Auxiliary",
    "BitFit",
    "CachedBase",
    "Count",
    "Experts",
    "FullFineTuning",
    "Inducer",
    "LoRA",
    "MAMInducer",
    "Method",
    "ParallelAdapter",
    "Prefix",
    "Prompt",
    "Properties",
    "Side",
    "TunedModel",
    "attach",
    "comparison",
    "count_on",
    "encode_attributes",
    "load",
    "properties",
    "strength",
    "table",
]
