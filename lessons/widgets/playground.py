"""Text generation from a prompt of the reader's, with the probabilities behind each token."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from typing import TypedDict, TypeGuard

import torch
from torch import Tensor

from lessons.widgets import controls
from lessons.widgets.model_explorer import LanguageModel, ModelExplorer, Models
from lessons.widgets.views.generation import Candidate, Drawn, generation_view
from minilm import BPETokenizer, stream
from minilm.generation import Step, next_token_probabilities
from minilm.text.tokenizer import END_OF_TEXT
from minilm.tuning import TunedModel, strength

N_CANDIDATE = 7
LONGEST = 100
"""New tokens at most: more would make the view large, and no clearer."""


class _Filters(TypedDict):
    top_k: int | None
    top_p: float | None


class Playground(ModelExplorer):
    """Continue a prompt, and see for each token how probable it was and what else could have come.

        Playground(model, tok, prompt="Once upon a time", length=40, temperature=0.8)
        Playground({"base": model, "tuned": tuned}, tok)

    Args:
        model: a model, or several by name, to choose from.
        prompt: may hold special tokens, such as <|endoftext|>.
        length: number of new tokens, at most 100.
        temperature, top_k, top_p, seed: as for `minilm.generate`; `top_k=0` is no limit.
        attributes: token ids by name, for models that take an attribute; models whose attribute has a strength get a
            slider for it.
        stop_at_end: end where the model ends the text.
    """

    def __init__(
        self,
        model: Models,
        tokenizer: BPETokenizer,
        prompt: str = END_OF_TEXT,
        *,
        length: int = 40,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        attributes: Mapping[str, list[int]] | None = None,
        stop_at_end: bool = True,
    ):
        super().__init__(model, tokenizer, prompt, "prompt", "what the text begins with; Enter writes on")
        self.prompt = self.text
        self.attributes, self.stop_at_end = dict(attributes or {}), stop_at_end
        self.temperature = controls.real("temperature", temperature, 0.0, 2.0, "0 takes the likeliest token")
        self.top_k = controls.whole("top-k", top_k, 0, 100, "keep the k likeliest tokens; 0 keeps all")
        help = "keep the likeliest tokens that reach this probability"
        self.top_p = controls.real("top-p", top_p, 0.05, 1.0, help)
        self.seed = controls.whole("seed", seed, 0, 99, "another seed, another text")
        self.length = controls.whole("length", length, 1, LONGEST, "new tokens")
        self.attribute = controls.choice("attribute", ["none", *self.attributes], "none")
        help = "of tuning's shift of the logits; 0 is the base"
        self.strength = controls.real("strength", 1.0, 0.0, 4.0, help)
        chosen = [
            *self.chooser,
            *([self.attribute] if self.attributes else []),
            *([self.strength] if any(map(has_strength, self.models.values())) else []),
        ]
        sliders = [self.temperature, self.top_k, self.top_p, self.seed, self.length]
        self.arrange([self.prompt], [*chosen, *sliders])

    def view(self) -> str:
        prompt = self.tokenizer.encode(self.prompt.value)
        if not prompt:
            raise ValueError(f"the prompt is empty: write a word, or {END_OF_TEXT} to begin a new text")
        drawn = [self.candidates(step) for step in self.steps(prompt)]
        return generation_view(self.prompt.value, drawn, self.describe(len(prompt)))

    def steps(self, prompt: list[int]) -> list[Step]:
        """Sample with the settings of the controls."""
        model = self.model
        stop = self.tokenizer.special_tokens.get(END_OF_TEXT) if self.stop_at_end else None
        guided = strength(model, self.strength.value) if has_strength(model) else nullcontext()
        with warnings.catch_warnings(), guided:
            warnings.simplefilter("ignore")  # `describe` says that the window moves
            return list(stream(
                model, torch.tensor([prompt]), self.length.value, temperature=self.temperature.value, seed=self.seed.value,
                stop_token=stop, attribute=self.chosen_attribute(model), **self.filters(),
            ))  # fmt: skip

    def filters(self) -> _Filters:
        """top_k and top_p, None where they keep everything."""
        top_p = self.top_p.value if self.top_p.value < 1 else None
        return {"top_k": self.top_k.value or None, "top_p": top_p}

    def chosen_attribute(self, model: LanguageModel) -> Tensor | None:
        """(1, m) tokens; None for a model that takes no attribute."""
        ids = self.attributes.get(self.attribute.value)
        return None if ids is None or not model.takes_attribute else torch.tensor([ids])

    def candidates(self, step: Step) -> Drawn:
        """The drawn token of a step, and the candidates beside it."""
        believed = step.logits[0].float().softmax(dim=-1)  # (vocab,)
        if self.temperature.value == 0:
            drawable = torch.zeros_like(believed).index_fill(0, step.token, 1.0)
        else:
            drawable = next_token_probabilities(step.logits, self.temperature.value, **self.filters())[0]
        entropy = -(believed * believed.clamp(min=1e-30).log2()).sum().item()
        top = believed.topk(min(N_CANDIDATE, len(believed))).indices.tolist()
        candidates = [self.candidate(id, believed, drawable) for id in top]
        return Drawn(self.candidate(int(step.token), believed, drawable), candidates, entropy)

    def candidate(self, id: int, believed: Tensor, drawable: Tensor) -> Candidate:
        """A token of the vocabulary with its two probabilities."""
        return Candidate(self.tokenizer.token_bytes(id), believed[id].item(), drawable[id].item())

    def describe(self, n_prompt: int) -> str:
        """The settings in a few words, and whether the window moves.

        Args:
            n_prompt: number of tokens in the prompt.
        """
        words = [f"temperature {self.temperature.value:g}"]
        words += [f"top-k {self.top_k.value}"] * bool(self.top_k.value)
        words += [f"top-p {self.top_p.value:g}"] * (self.top_p.value < 1)
        words += [f"seed {self.seed.value}"]
        words += [f"attribute {self.attribute.value}"] * bool(self.attributes)
        words += [f"strength {self.strength.value:g}"] * has_strength(self.model)
        if n_prompt + self.length.value - 1 > self.model.window:
            words.append(f"longer than the window: each token sees the last {self.model.window} only")
        return " · ".join(words)


def has_strength(model: LanguageModel) -> TypeGuard[TunedModel]:
    """Whether `minilm.tuning.strength` can change a strength of the model."""
    parts = model.attachments.values() if isinstance(model, TunedModel) else ()
    return any(hasattr(each, "strength") for each in parts)
