"""The task of lesson 8: a keyword goes in, a story that contains it comes out (Zeldes et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from minilm import BPETokenizer, complete, datasets, generate
from minilm.datasets import KeywordStory
from minilm.evaluation.controlled import keyword_accuracy
from minilm.evaluation.logit_shift import Asked
from minilm.generation.few_shot import few_shot_prompt
from minilm.objectives import Completions
from minilm.steering import PPLM
from minilm.tuning import encode_attributes

LONGEST = 130
"""Tokens that a model may write before it is cut off; few stories have more."""


class KeywordStories:
    """Stories with a keyword each, as auxiliary models are told of it and as a prefix; and what models make
    of it.

    Args:
        tokenizer: of the base.
        keywords: those that are asked for.
        n_train, n_held_out: stories of each kind.
    """

    def __init__(
        self, tokenizer: BPETokenizer, keywords: Sequence[str], n_train: int = 2000, n_held_out: int = 40
    ):
        self.tokenizer, self.keywords = tokenizer, tuple(keywords)
        options = {"keywords": self.keywords}
        self.records: list[KeywordStory] = datasets.load("storyworld-keywords", "train", n=n_train, **options)
        self.held_out: list[KeywordStory] = datasets.load(
            "storyworld-keywords", "test", n=n_held_out, **options
        )
        ids = encode_attributes(tokenizer, [f" {keyword}" for keyword in self.keywords])
        self.ids: dict[str, Tensor] = dict(zip(self.keywords, ids, strict=True))
        """The tokens (m,) of each keyword."""

    def tell(self, keywords: Sequence[str]) -> Tensor:
        """The attribute (B, m) that asks for a keyword in each row."""
        return torch.stack([self.ids[keyword] for keyword in keywords])

    def batches(self, window: int, batch_size: int = 32, records: Sequence[KeywordStory] = ()) -> Completions:
        """Stories after an end-of-text token, with the keyword as their attribute."""
        records = records or self.records
        examples = [([self.tokenizer.end_of_text], self.encode(record)) for record in records]
        told = [self.ids[record.keywords[0]].tolist() for record in records]
        return Completions(examples, batch_size, window, attributes=told)

    def prefixed(self, window: int, batch_size: int = 32) -> Completions:
        """The same stories with the keyword in the text itself, before the end-of-text token."""
        examples = [
            (self.prompt(record.keywords[0]).tolist(), self.encode(record)) for record in self.records
        ]
        return Completions(examples, batch_size, window)

    def prompt(self, keyword: str) -> Tensor:
        """The keyword's tokens and an end-of-text token: (m + 1,)."""
        return torch.cat([self.ids[keyword], torch.tensor([self.tokenizer.end_of_text])])

    def encode(self, record: KeywordStory) -> list[int]:
        """The story and the end-of-text token that ends it."""
        return [*self.tokenizer.encode(record.text), self.tokenizer.end_of_text]

    def asked(self) -> list[Asked]:
        """The held-out stories, to compare the learned shift with the exact one."""
        return [
            Asked(self.tokenizer.encode(record.text), ("keyword", keyword), self.ids[keyword])
            for record in self.held_out
            for keyword in record.keywords
        ]

    def wanted(self, n: int) -> list[str]:
        """n keywords, each as often as the others."""
        return [self.keywords[number % len(self.keywords)] for number in range(n)]

    def write(self, model, keywords: Sequence[str], prefixed: bool = False, seed: int = 0) -> list[str]:
        """A story that a model makes for each keyword, told as an attribute or in a prefix."""
        if prefixed:
            return self.go_on(model, torch.stack([self.prompt(keyword) for keyword in keywords]), seed)
        return self.write_told(model, self.tell(keywords), seed)

    def write_told(self, model, attribute: Tensor, seed: int = 0) -> list[str]:
        """A story for each row of an attribute (B, m), of which a model that takes none is not told."""
        start = torch.full((len(attribute), 1), self.tokenizer.end_of_text)
        return self.go_on(model, start, seed, attribute=attribute if model.takes_attribute else None)

    def write_after_examples(self, model, keywords: Sequence[str], seed: int = 0) -> list[str]:
        """The same from a few-shot prompt: stories behind their keywords, then the keyword that is asked for."""
        brief = sorted(self.records[:200], key=lambda record: len(record.text))
        solved = [(self.prompt(record.keywords[0]).tolist(), self.encode(record)) for record in brief]
        room = model.window - LONGEST
        prompts = [few_shot_prompt(solved, self.prompt(keyword).tolist(), (), room) for keyword in keywords]
        end = self.tokenizer.end_of_text
        told = complete(model, prompts, LONGEST, temperature=1.0, seed=seed, stop_token=end)
        return [self.tokenizer.decode(ids) for ids in told]

    def write_by_gradient(self, model, keywords: Sequence[str], seed: int = 0) -> list[str]:
        """The same by PPLM, with the keyword, in lower and upper case, as its bag of words."""
        written = {word: iter(self.steer(model, word, keywords.count(word), seed)) for word in set(keywords)}
        return [next(written[word]) for word in keywords]

    def steer(self, model, keyword: str, n: int, seed: int) -> list[str]:
        """n stories that PPLM draws towards a keyword."""
        end, encode = self.tokenizer.end_of_text, self.tokenizer.encode
        bag = [*encode(f" {keyword}"), *encode(f" {keyword.capitalize()}")]
        rows = PPLM().generate(model, torch.full((n, 1), end), bag, LONGEST, seed=seed, stop_token=end)
        return [self.until_end(row) for row in rows[:, 1:].tolist()]

    def go_on(self, model, prompts: Tensor, seed: int, **told: Tensor | None) -> list[str]:
        """What a model writes after prompts (B, T), up to the end of a story."""
        end = self.tokenizer.end_of_text
        rows = generate(model, prompts, LONGEST, seed=seed, stop_token=end, **told)
        return [self.until_end(row) for row in rows[:, prompts.size(1) :].tolist()]

    def until_end(self, ids: list[int]) -> str:
        """The text before the first end-of-text token, or all of it."""
        end = self.tokenizer.end_of_text
        return self.tokenizer.decode(ids[: ids.index(end)] if end in ids else ids)

    def accuracy(self, model, n: int, prefixed: bool = False) -> float:
        """Share of n stories by a model that contain the keyword they were asked for."""
        keywords = self.wanted(n)
        return keyword_accuracy(self.write(model, keywords, prefixed), keywords)
