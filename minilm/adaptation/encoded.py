"""A task as a model reads it: records in token ids, batches to learn from, and what is measured on held-out records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float64
from torch import Tensor

from minilm.adaptation.template import Template
from minilm.datasets import ENTAILMENTS, SENTIMENTS, LabelledSentence, Record, SentencePair
from minilm.evaluation.perplexity import mean_loss, token_losses
from minilm.generation import complete
from minilm.model.interface import LanguageModel
from minilm.objectives import Completions
from minilm.storyworld import StoryWorld
from minilm.text.pretokenization import split_words
from minilm.text.tokenizer import BPETokenizer

Example = tuple[list[int], list[int]]
"""Token ids of prompt and target."""
Asked = Record | str | Sequence[int]
"""A prompt: of a record, in words, or in token ids with all marks."""
BATCH_SIZE = 8
"""Examples in a batch to learn from."""
AT_ONCE = 16
"""Held-out examples that are looked at together."""
LABELS: dict[type[Record], Sequence[str]] = {LabelledSentence: SENTIMENTS, SentencePair: ENTAILMENTS}
"""Kind of record -> its targets, where there are few."""


@dataclass(frozen=True)
class EncodedTask:
    """Records to learn from and records held out, in the tokens of one model.

    Raises:
        ValueError: a split is empty, or the template cuts a word in two.
    """

    records: tuple[Record, ...]
    """To learn from."""
    held_out: tuple[Record, ...]
    """To judge by."""
    tokenizer: BPETokenizer
    template: Template
    name: str = "task"
    """What it is called in a report: the data set's name, or the file's."""
    law: StoryWorld | None = None
    """The world whose documents the held-out records are; None where the truth is not known."""

    def __post_init__(self) -> None:
        for split, records in {"training": self.records, "held-out": self.held_out}.items():
            if not records:
                raise ValueError(f"the {split} split of {self.name} is empty: give it at least one record")
        prompt, target = (text(self.records[0]) for text in (self.template.prompt, self.template.target))
        if split_words(prompt + target) != split_words(prompt) + split_words(target):
            raise ValueError(
                f"the template joins {prompt[-12:]!r} and {target[:12]!r} into one word: part them, with answer=' '"
            )

    def encode(self, record: Record) -> Example:
        """End-of-text, as before every text, and the prompt; then the target and the end-of-text that ends it."""
        return self.prompt_ids(record), self.target_ids(record)

    def examples(self, records: Sequence[Record]) -> list[Example]:
        """Several records in token ids."""
        return [self.encode(record) for record in records]

    def prompt_ids(self, asked: Asked) -> list[int]:
        """What the model reads, for a record or for a prompt alone; token ids are left as they are."""
        if not isinstance(asked, str | Record):
            return list(asked)
        return [self.tokenizer.end_of_text, *self.tokenizer.encode(self.template.prompt(asked))]

    def target_ids(self, record: Record | str) -> list[int]:
        """What it should write, for a record or for a target alone."""
        return [*self.tokenizer.encode(self.template.target(record)), self.tokenizer.end_of_text]

    @cached_property
    def learned(self) -> list[Example]:
        """All records to learn from, in token ids."""
        return self.examples(self.records)

    @cached_property
    def judged(self) -> list[Example]:
        """All held-out records, in token ids."""
        return self.examples(self.held_out)

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest target: no more are worth writing."""
        return max(len(target) for _, target in (*self.learned, *self.judged))

    def batches(self, window: int, batch_size: int = BATCH_SIZE, seed: int = 0) -> Completions:
        """Batches to learn from, for a model that reads `window` tokens.

        Raises:
            ValueError: an example is longer than the window; the message shows its beginning.
        """
        self.check(window)
        return Completions(self.learned, batch_size, window, seed)

    def check(self, window: int) -> None:
        """Raise ValueError unless every example, held-out ones too, fits into a window."""
        encoded = zip((*self.records, *self.held_out), (*self.learned, *self.judged), strict=True)
        for number, (record, (prompt, target)) in enumerate(encoded):
            if len(prompt) + len(target) - 1 > window:
                raise ValueError(
                    f"example {number} of {self.name} has a prompt of {len(prompt)} and a target of {len(target)} "
                    f"tokens, but the model reads {window}: shorten it or leave it out: {record.prompt[:60]!r} ..."
                )

    def loss(self, model: LanguageModel, prompts: Sequence[Asked] | None = None) -> float:
        """Mean loss on the held-out targets in nats per token, after their own prompts or these."""
        targets = [target for _, target in self.judged]
        pairs = list(zip(self.asked(prompts), targets, strict=True))
        return mean_loss(model, Completions(pairs, AT_ONCE, model.window).in_order())

    def asked(self, prompts: Sequence[Asked] | None = None) -> list[list[int]]:
        """Prompts in token ids; None means the held-out ones."""
        return [prompt for prompt, _ in self.judged] if prompts is None else [*map(self.prompt_ids, prompts)]

    def answers(self, model: LanguageModel, prompts: Sequence[Asked] | None = None) -> list[str]:
        """What a model answers to the held-out prompts, or these: the likeliest label, or what it writes greedily."""
        labels = LABELS.get(type(self.held_out[0]))
        ids = self.asked(prompts)
        return self.write(model, ids) if labels is None else self.likeliest(model, ids, labels)

    def write(
        self,
        model: LanguageModel,
        prompts: Sequence[Asked],
        max_new_tokens: int | None = None,
        temperature: float = 0.0,
        seed: int | None = 0,
    ) -> list[str]:
        """What a model writes after prompts, by default no longer than the longest target.

        Raises:
            ValueError: a prompt leaves no room in the window, or a setting is out of range.
        """
        asked = self.asked(prompts)
        new = min(self.room(model.window, asked), self.longest if max_new_tokens is None else max_new_tokens)
        end = self.tokenizer.end_of_text
        rows: list[list[int]] = []
        for start in range(0, len(asked), AT_ONCE):
            own = (
                None if seed is None else seed + start
            )  # equal prompts in two batches are written on differently
            rows += complete(
                model, asked[start : start + AT_ONCE], new, temperature, seed=own, stop_token=end
            )
        return [self.template.read(self.tokenizer.decode(row)) for row in rows]

    def room(self, window: int, prompts: Sequence[Sequence[int]]) -> int:
        """Tokens that can be written after the longest of some prompts; at least 1, or ValueError."""
        longest = max(map(len, prompts), default=0)
        if longest > window:
            raise ValueError(
                f"a prompt of {longest} tokens is longer than the window of {window}: shorten it"
            )
        return window - longest + 1

    def likeliest(
        self, model: LanguageModel, prompts: Sequence[Sequence[int]], labels: Sequence[str]
    ) -> list[str]:
        """For each prompt, the label that the model holds for the likeliest."""
        surprise = torch.stack([self.surprise(model, prompts, label) for label in labels])  # (labels, N)
        return [labels[index] for index in surprise.argmin(dim=0).tolist()]

    @torch.no_grad()
    def surprise(
        self, model: LanguageModel, prompts: Sequence[Sequence[int]], label: str
    ) -> Float64[Tensor, " n"]:
        """-log P(label | prompt) for every prompt, in nats."""
        pairs = [(prompt, self.target_ids(label)) for prompt in prompts]
        batches = Completions(pairs, AT_ONCE, model.window).in_order()
        return torch.cat([token_losses(model, each.tokens, each.targets).sum(dim=1) for each in batches])

    def few_shot(self, window: int, shots: int) -> list[list[int]]:
        """The held-out prompts, each behind so many solved examples, others for every prompt.

        Raises:
            ValueError: so many examples do not fit into a window together with the longest target.
        """
        mark = self.tokenizer.encode(self.template.between)
        prompts = []
        for number, (asked, _) in enumerate(self.judged):
            places = [(number * shots + each) % len(self.learned) for each in range(shots)]
            solved = [(prompt[1:], target[:-1]) for prompt, target in (self.learned[at] for at in places)]
            shown = [token for prompt, target in solved for token in (*prompt, *target, *mark)]
            prompts.append([asked[0], *shown, *asked[1:]])
        longest = max(map(len, prompts)) + self.longest - 1
        if longest > window:
            raise ValueError(
                f"{shots} examples, a prompt and a target take up to {longest} tokens, but the model reads {window}: "
                "show fewer"
            )
        return prompts
