"""Generation under the reader's hands: a prompt, the settings of sampling, and the probabilities behind each token."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from contextlib import nullcontext

import torch
from torch import Tensor

from lessons.widgets import controls
from lessons.widgets.explorer import Explorer
from lessons.widgets.views.generation import Candidate, Drawn, generation_view
from minilm import BPETokenizer, stream
from minilm.generation import Step, next_token_probabilities
from minilm.tuning import strength

N_CANDIDATE = 7
LONGEST = 100
"""New tokens at most: more would make the view heavy, and no clearer."""


class Playground(Explorer):
    """Continue a prompt, and see for each token how likely it was and what else could have come.

        Playground(model, tok, prompt="Once upon a time", length=40, temperature=0.8)
        Playground({"base": model, "tuned": tuned}, tok)

    Args:
        model: a model, or several by name, to choose from.
        prompt: may hold special tokens, such as <|endoftext|>.
        length: new tokens, at most 100.
        temperature, top_k, top_p, seed: as for `minilm.generate`; `top_k=0` is no limit.
        attributes: token ids by name, for models that take an attribute; those that can be told how strongly to heed
            it get a slider for that.
        stop_at_end: end where the model ends the text.
    """

    def __init__(
        self,
        model,
        tokenizer: BPETokenizer,
        prompt: str = "<|endoftext|>",
        *,
        length: int = 40,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        attributes: Mapping[str, list[int]] | None = None,
        stop_at_end: bool = True,
    ):
        super().__init__()
        self.models = dict(model) if isinstance(model, Mapping) else {"model": model}
        self.tokenizer, self.attributes, self.stop_at_end = tokenizer, dict(attributes or {}), stop_at_end
        self.prompt = controls.line("prompt", prompt, "what the text begins with; Enter writes on")
        self.temperature = controls.real("temperature", temperature, 0.0, 2.0, "0 takes the likeliest token")
        self.top_k = controls.whole("top-k", top_k, 0, 100, "keep the k likeliest tokens; 0 keeps all")
        self.top_p = controls.real(
            "top-p", top_p, 0.05, 1.0, "keep the likeliest tokens that reach this probability"
        )
        self.seed = controls.whole("seed", seed, 0, 99, "another seed, another text")
        self.length = controls.whole("length", length, 1, LONGEST, "new tokens")
        self.which = controls.choice("model", list(self.models), next(iter(self.models)))
        self.attribute = controls.choice("attribute", ["none", *self.attributes], "none")
        self.strength = controls.real(
            "strength", 1.0, 0.0, 4.0, "of tuning's shift of the logits; 0 is the base"
        )
        chosen = [
            *([self.which] if len(self.models) > 1 else []),
            *([self.attribute] if self.attributes else []),
            *([self.strength] if any(map(has_strength, self.models.values())) else []),
        ]
        sliders = [self.temperature, self.top_k, self.top_p, self.seed, self.length]
        self.arrange([self.prompt], [*chosen, *sliders])

    def summary(self) -> str:
        return f"Playground({', '.join(self.models)})"

    def view(self) -> str:
        prompt = self.tokenizer.encode(self.prompt.value)
        if not prompt:
            raise ValueError("the prompt is empty: write a word, or <|endoftext|> to begin a new text")
        drawn = [self.look(step) for step in self.steps(prompt)]
        return generation_view(self.prompt.value, drawn, self.describe())

    def steps(self, prompt: list[int]) -> list[Step]:
        """Sample as the controls say."""
        tokens = torch.tensor([prompt])
        stop = self.tokenizer.special_tokens.get("<|endoftext|>") if self.stop_at_end else None
        sampling = {"temperature": self.temperature.value, "seed": self.seed.value, **self.filters()}
        model = self.models[self.which.value]
        strengthened = strength(model, self.strength.value) if has_strength(model) else nullcontext()
        with warnings.catch_warnings(), strengthened:
            warnings.simplefilter("ignore")  # that the window slides is said in `describe`
            return list(stream(model, tokens, self.length.value, stop_token=stop,
                               attribute=self.chosen_attribute(), **sampling))  # fmt: skip

    def filters(self) -> dict[str, float | None]:
        """top_k and top_p, None where they keep everything."""
        return {
            "top_k": self.top_k.value or None,
            "top_p": self.top_p.value if self.top_p.value < 1 else None,
        }

    def chosen_attribute(self) -> Tensor | None:
        """(1, m) tokens."""
        ids = self.attributes.get(self.attribute.value)
        return None if ids is None else torch.tensor([ids])

    def look(self, step: Step) -> Drawn:
        """A step of `stream` as the view wants it."""
        believed = step.logits[0].float().softmax(dim=-1)  # (vocab,)
        if self.temperature.value == 0:
            drawable = torch.zeros_like(believed).index_fill(0, step.token, 1.0)
        else:
            drawable = next_token_probabilities(step.logits, self.temperature.value, **self.filters())[0]
        entropy = -(believed * believed.clamp(min=1e-30).log2()).sum().item()
        likeliest = believed.topk(min(N_CANDIDATE, len(believed))).indices.tolist()
        candidates = [self.candidate(id, believed, drawable) for id in likeliest]
        return Drawn(self.candidate(int(step.token), believed, drawable), candidates, entropy)

    def candidate(self, id: int, believed: Tensor, drawable: Tensor) -> Candidate:
        """A token of the vocabulary with its two probabilities."""
        return Candidate(self.tokenizer.token_bytes(id), believed[id].item(), drawable[id].item())

    def describe(self) -> str:
        """The settings in a few words, and whether the window moves."""
        model = self.models[self.which.value]
        said = [f"temperature {self.temperature.value:g}"]
        said += [f"top-k {self.top_k.value}"] * bool(self.top_k.value)
        said += [f"top-p {self.top_p.value:g}"] * (self.top_p.value < 1)
        said += [f"seed {self.seed.value}"]
        said += [f"attribute {self.attribute.value}"] * bool(self.attributes)
        said += [f"strength {self.strength.value:g}"] * has_strength(model)
        if len(self.tokenizer.encode(self.prompt.value)) + self.length.value - 1 > model.window:
            said.append(f"longer than the window: each token sees the last {model.window} only")
        return " · ".join(said)


def has_strength(model) -> bool:
    """Whether `minilm.tuning.strength` can turn something of it."""
    return any(hasattr(each, "strength") for each in getattr(model, "attachments", {}).values())
