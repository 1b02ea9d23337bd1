"""The base of the explorers that show what one or several models do with a line of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import ipywidgets as widgets
import torch

from lessons.widgets import controls
from lessons.widgets.explorer import Explorer
from lessons.widgets.views.markup import plain
from minilm import BPETokenizer, MiniLM, trace
from minilm.model.tracing import Trace
from minilm.steering import Experts
from minilm.tuning import TunedModel

T = TypeVar("T")

LanguageModel = MiniLM | TunedModel | Experts
"""Any model whose forward pass can be traced."""
Models = LanguageModel | Mapping[str, LanguageModel]
"""One model, or several by name."""


class ModelExplorer(Explorer):
    """Keeps the models, the line of text that they read, and a control to choose one of them.

    Args:
        model: a model, or several by name.
        text: the first value of the line of text; may hold special tokens.
        name: what the line of text is called.
        help: shown while the pointer is on it.
    """

    def __init__(
        self,
        model: Models,
        tokenizer: BPETokenizer,
        text: str,
        name: str = "text",
        help: str = "Enter shows it",
    ):
        super().__init__()
        self.models: dict[str, LanguageModel] = dict(model) if isinstance(model, Mapping) else {"": model}
        self.tokenizer = tokenizer
        self.text = controls.line(name, text, help)
        self.which = controls.choice("model", list(self.models), next(iter(self.models)))
        self._computed: tuple[str, Any] | None = None

    @property
    def model(self) -> LanguageModel:
        """The chosen model."""
        return self.models[self.which.value]

    @property
    def chooser(self) -> list[widgets.Widget]:
        """The control to choose a model; none if there is only one."""
        return [self.which] if len(self.models) > 1 else []

    def summary(self) -> str:
        return plain(f"{type(self).__name__}({', '.join(filter(None, self.models))})")

    def beginning(self, longest: int) -> tuple[list[int], str]:
        """The text's tokens, at most so many, and in words which part of the text they are; "" for all of it."""
        ids = self.tokenizer.encode(self.text.value)
        return ids[:longest], f"the first {longest} of {len(ids)} tokens" if len(ids) > longest else ""

    def once(self, compute: Callable[[], T]) -> T:
        """What `compute` returns: computed once for each text, however the other controls move."""
        if self._computed is None or self._computed[0] != self.text.value:
            self._computed = (self.text.value, compute())
        result: T = self._computed[1]
        return result


@torch.no_grad()
def traced(model: LanguageModel, ids: Sequence[int], attribute: Sequence[int] | None = None) -> Trace:
    """What a trace records of one forward pass over token ids; a model that takes no attribute is given none."""
    told = attribute is not None and model.takes_attribute
    options = {} if not told else {"attribute": torch.tensor([attribute], device=model.device)}
    with trace(model) as record:
        model(torch.tensor([ids], device=model.device), **options)
    return record
