"""Text to pretrain on: its tokenizer, batches to learn from, and held-out text with baselines to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from minilm.evaluation.ngram import NGramModel
from minilm.evaluation.perplexity import bits_per_byte, mean_loss, perplexity
from minilm.model.interface import LanguageModel
from minilm.objectives.batch import Batch, BatchMaker
from minilm.objectives.samplers import Completions, Documents, NextToken
from minilm.pretraining.large_text import LARGE, encode_large, evaluated
from minilm.pretraining.recipe import WORLD_OF
from minilm.storyworld import Oracle, StoryWorld
from minilm.text.shards import TokenShards
from minilm.text.tokenizer import END_OF_TEXT, BPETokenizer


class Corpus(Protocol):
    """What `pretrain` asks of a text, whatever its kind."""

    @property
    def name(self) -> str:
        """What it is called in reports."""

    @property
    def tokenizer(self) -> BPETokenizer:
        """Learned from the part to learn from."""

    @property
    def floor(self) -> float | None:
        """The least loss on the held-out text that any model can expect, in nats per token, where it is known."""

    @property
    def held_out(self) -> Sequence[Any]:
        """What the loss is measured on, in token ids."""

    @property
    def opening(self) -> list[int]:
        """Token ids that a sample starts from."""

    def batches(self, context_length: int, batch_size: int, seed: int = 0) -> BatchMaker:
        """Windows to learn from."""

    def loss(self, model: LanguageModel) -> float:
        """Mean loss on the held-out text, in nats per token."""

    def bits_per_byte(self, loss: float) -> float:
        """The same loss in a unit that does not depend on the tokenizer."""

    def baseline(self) -> float:
        """Loss of a 5-gram model on the held-out text, in nats per token."""

    @property
    def floors(self) -> dict[str, float]:
        """The floor of each kind of document in the held-out text; empty where there are no kinds."""

    def losses(self, model: LanguageModel) -> dict[str, float]:
        """The model's loss on each of these kinds."""


TEXTS_FOR_TOKENIZER = 5_000
"""Documents that the tokenizer is trained on: enough for every kind to come often."""


@dataclass(frozen=True)
class StoryCorpus:
    """Documents sampled from the storyworld; every one is preceded by the end-of-text token."""

    tokenizer: BPETokenizer
    stories: list[list[int]]
    """Token ids of each document to learn from."""
    held_out: list[list[int]]
    """Token ids of documents from other seeds."""
    world: StoryWorld
    name: str = "storyworld"
    kinds: Sequence[str] = ()
    """The kind of each held-out document; empty if unknown."""

    @classmethod
    def sample(
        cls, n_story: int, n_held_out: int, vocab_size: int, seed: int = 0, world: StoryWorld | None = None
    ) -> StoryCorpus:
        """Sample documents of all kinds, train a tokenizer on the first of them, encode them all.

        Args:
            world: where they come from; `StoryWorld().only("story")` for plain stories. None: the course's, all kinds.
        """
        world = world or StoryWorld()
        texts = [story.text for story in world.sample(n_story, seed=seed)]
        held_out = world.sample(n_held_out, seed=seed + 1)
        tokenizer = BPETokenizer.train(texts[:TEXTS_FOR_TOKENIZER], vocab_size=vocab_size)
        encode = tokenizer.encode
        kinds = tuple(story.value("kind") for story in held_out)
        return cls(
            tokenizer,
            [encode(text) for text in texts],
            [encode(story.text) for story in held_out],
            world,
            kinds=kinds,
        )

    @cached_property
    def floor(self) -> float:
        """Exact: what the world's own probabilities lose on these very documents."""
        return self._floor(self.held_out)

    @cached_property
    def floors(self) -> dict[str, float]:
        """The same for each kind of document by itself."""
        return {kind: self._floor(rows) for kind, rows in self._by_kind().items()}

    def losses(self, model: LanguageModel) -> dict[str, float]:
        """The model's loss on each kind of document, in nats per token."""
        return {kind: self._loss(model, rows) for kind, rows in self._by_kind().items()}

    def _floor(self, rows: list[list[int]]) -> float:
        return self._oracle.floor([self.tokenizer.decode(ids) for ids in rows])

    @cached_property
    def _oracle(self) -> Oracle:
        return Oracle(self.world, self.tokenizer)

    def _by_kind(self) -> dict[str, list[list[int]]]:
        """The documents held out of each kind, the kinds in the world's order."""
        found: dict[str, list[list[int]]] = {kind: [] for kind in self.world.kinds}
        for kind, row in zip(self.kinds, self.held_out, strict=False):
            found[kind].append(row)
        return {kind: rows for kind, rows in found.items() if rows}

    @property
    def opening(self) -> list[int]:
        return [self.tokenizer.end_of_text]

    def batches(self, context_length: int, batch_size: int, seed: int = 0) -> Documents:
        return Documents(self.stories, self.tokenizer.end_of_text, context_length, batch_size, seed)

    def loss(self, model: LanguageModel) -> float:
        """Over every token of every document, and over its end.

        Raises:
            ValueError: a held-out document is longer than the model's window.
        """
        return self._loss(model, self.held_out)

    def _loss(self, model: LanguageModel, rows: list[list[int]]) -> float:
        longest = max(map(len, rows)) + 1
        if longest > model.window:
            raise ValueError(f"a held-out document of {longest} tokens needs context_length >= {longest}")
        rows = sorted(rows, key=len)  # rows of like length waste the least on padding
        batches = [rows[start : start + 32] for start in range(0, len(rows), 32)]
        return mean_loss(model, [whole_stories(batch, self.tokenizer.end_of_text) for batch in batches])

    def bits_per_byte(self, loss: float) -> float:
        n_token = sum(len(story) + 1 for story in self.held_out)
        n_byte = sum(len(self.tokenizer.decode(story).encode()) for story in self.held_out)
        return bits_per_byte(loss, n_token, n_byte)

    def baseline(self) -> float:
        end = self.tokenizer.end_of_text
        model = NGramModel(
            [token for story in self.stories[:20_000] for token in (end, *story)], self.tokenizer.vocab_size
        )
        rows = [[end, *story, end] for story in self.held_out]
        nats = sum(model.log_prob(row[:1]) - model.log_prob(row) for row in rows)  # the first end is given
        return nats / sum(len(row) - 1 for row in rows)


def whole_stories(stories: Sequence[Sequence[int]], end_of_text: int) -> Batch:
    """One story a row, from the end-of-text token before it to the one after it; padding asks for nothing."""
    pairs = [([end_of_text], [*story, end_of_text]) for story in stories]
    longest = max(map(len, stories)) + 1
    return Completions(pairs, len(pairs), longest).collate(range(len(pairs)))


@dataclass(frozen=True)
class TextCorpus:
    """One running text, its last part held out."""

    tokenizer: BPETokenizer
    text: list[int] | TokenShards
    """Token ids to learn from; those of a large file stay on disk."""
    held_out: list[int]
    """Token ids of what follows; of much text, evenly spaced parts, so that an evaluation stays short."""
    n_byte: int
    """Bytes of the held-out tokens."""
    name: str = "text"
    floor: None = None
    """It is unknown how predictable Shakespeare is."""

    @property
    def floors(self) -> dict[str, float]:
        """None is known."""
        return {}

    def losses(self, model: LanguageModel) -> dict[str, float]:
        """There are no kinds."""
        return {}

    @classmethod
    def split(cls, text: str, vocab_size: int, name: str = "text", share: float = 0.05) -> TextCorpus:
        """Hold out the last `share` of a text; the tokenizer sees only the rest.

        Raises:
            ValueError: the text is empty, or shorter than 1,000 characters.
        """
        if len(text) < 1000:
            raise ValueError(f"{name} has only {len(text)} characters; a language model needs 1,000 or more")
        cut = round(len(text) * (1 - share))
        tokenizer = BPETokenizer.train([text[:cut]], vocab_size=vocab_size)
        held_out, n_byte = evaluated(tokenizer, tokenizer.encode(text[cut:]))
        return cls(tokenizer, tokenizer.encode(text[:cut]), held_out, n_byte, name)

    @classmethod
    def stream(cls, path: Path, vocab_size: int, name: str = "text", share: float = 0.05) -> TextCorpus:
        """The same of a file that is too large for memory; its tokens are kept in the cache, see `large_text`.

        Raises:
            ValueError: it is not a text, see `TextError`.
            SaveError: the disk has too little room for its tokens.
        """
        tokenizer, text, held_out = encode_large(path, vocab_size, share)
        return cls(tokenizer, text, *evaluated(tokenizer, held_out), name)

    @property
    def opening(self) -> list[int]:
        return self.tokenizer.encode("\n")

    def batches(self, context_length: int, batch_size: int, seed: int = 0) -> NextToken:
        return NextToken(self.text, context_length, batch_size, seed)

    def loss(self, model: LanguageModel) -> float:
        return perplexity(model, self.held_out).nats_per_token

    def bits_per_byte(self, loss: float) -> float:
        return bits_per_byte(loss, len(self.held_out), self.n_byte)

    def baseline(self) -> float:
        model = NGramModel(self.text, self.tokenizer.vocab_size)
        return -model.log_prob(self.held_out) / len(self.held_out)


def corpus_named(name: str, vocab_size: int, n_story: int = 50_000, n_held_out: int = 500) -> Corpus:
    """The corpus of a name: the storyworld, a registered running text, or a text file of your own.

    Raises:
        ValueError: the data is none of these.
        FileNotFoundError: there is no such file or data set.
    """
    if name in WORLD_OF:
        return StoryCorpus.sample(n_story, n_held_out, vocab_size, world=StoryWorld(WORLD_OF[name]))
    from minilm import datasets

    if (path := datasets.plain_text(name)) and path.stat().st_size > LARGE:
        return TextCorpus.stream(path, vocab_size, name)
    content = datasets.load(name)
    if isinstance(content, list) and content and isinstance(content[0], str):
        content = f"{END_OF_TEXT}".join(content)
    if not isinstance(content, str):
        raise ValueError(
            f"{name} is a table, not a text: pretrain on storyworld, tinyshakespeare or a .txt file"
        )
    return TextCorpus.split(content, vocab_size, name)
