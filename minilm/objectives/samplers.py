"""Which tokens are read: windows of one text, packed documents, prompts with targets.

What is done with them says the objective: RandomWindows(text, 64, 16, objective=...).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from minilm.model.tokens import id_row, in_words
from minilm.objectives.batch import IGNORE, Batch
from minilm.objectives.causal import CausalLM
from minilm.objectives.objective import Objective
from minilm.objectives.token_rows import TokenRow, row_digest, token_row, windows
from minilm.system.checks import whole
from minilm.system.content_digests import digest
from minilm.system.streams import stream

CAUSAL_LM = CausalLM()


class WindowSampler(ABC):
    """Rows of text of one width, of which an objective makes batches."""

    context_length: int
    batch_size: int
    seed: int
    objective: Objective

    @abstractmethod
    def rows(self, index: int, generator: torch.Generator) -> Tensor:
        """The texts (B, T + lookahead) with this index; random numbers only from the generator."""

    def batch(self, index: int) -> Batch:
        """The batch with this index, always the same."""
        generator = stream(self.seed, index)
        return self.objective.batch(self.rows(index, generator), generator)

    def settings(self) -> dict[str, Any]:
        """Sizes, seed and objective, for a run to know its checkpoint by."""
        sizes = {"context_length": self.context_length, "batch_size": self.batch_size, "seed": self.seed}
        return sizes | self.objective.identity()

    def check(self) -> None:
        """Raise ValueError for sizes below 1, a seed that is not a whole number, and what is not an objective."""
        check_sizes(self.context_length, self.batch_size, self.seed)
        if not isinstance(self.objective, Objective):
            raise ValueError(
                f"objective must be an Objective such as CausalLM(), not {in_words(self.objective)}"
            )


class RandomWindows(WindowSampler):
    """Windows of one long text, starting anywhere in it.

    Args:
        tokens: (N,) the encoded text: a list, or whole numbers of any type in a tensor, an array, a memory map or token shards,
            of which a batch reads its windows alone.
        context_length: T, tokens in a window.
        batch_size: B, windows in a batch.
        seed: with the index, decides where the windows start, and what the objective hides.
        objective: what is done with them.

    Raises:
        ValueError: the text is shorter than one window and its last target, or holds something else than whole numbers.
    """

    former_name = "NextToken"

    def __init__(
        self,
        tokens: TokenRow | Sequence[int],
        context_length: int,
        batch_size: int,
        seed: int = 0,
        objective: Objective = CAUSAL_LM,
    ):
        self.context_length, self.batch_size, self.seed = context_length, batch_size, seed
        self.objective = objective
        self.check()
        self.tokens = token_row(tokens)
        self.width = context_length + objective.lookahead
        if len(self.tokens) < self.width:
            raise ValueError(
                f"a text of {len(self.tokens)} tokens is too short for windows of {context_length} and their targets: "
                f"it takes {self.width}; add text or choose a smaller context_length"
            )

    def rows(self, index: int, generator: torch.Generator) -> Tensor:
        """Windows (B, T + lookahead) from anywhere in the text."""
        n_start = len(self.tokens) - self.width + 1
        return windows(
            self.tokens, torch.randint(n_start, (self.batch_size, 1), generator=generator), self.width
        )

    def identity(self) -> dict[str, Any]:
        """Settings and text, for a run to know its checkpoint by."""
        return self.settings() | {"tokens": row_digest(self.tokens)}


class PackedDocuments(WindowSampler):
    """Windows that start where a document starts, each row filled up with the documents after it.

    A window that begins in the middle of a story asks for names that were never mentioned: a loss that no model can
    avoid. Every epoch visits each document as a start once, in an order of its own.

    Args:
        documents: token ids of each document, without separators.
        separator: id placed before each document; its end is the next one's beginning.
        context_length, batch_size, seed, objective: as for `RandomWindows`.

    Raises:
        ValueError: there are no documents, one of them is not a row of ids, or a size is below 1.
    """

    former_name = "Documents"

    def __init__(
        self,
        documents: Sequence[Sequence[int]],
        separator: int,
        context_length: int,
        batch_size: int,
        seed: int = 0,
        objective: Objective = CAUSAL_LM,
    ):
        if not documents:
            raise ValueError("there are no documents to train on: the list is empty")
        self.context_length, self.batch_size, self.seed = context_length, batch_size, seed
        self.objective = objective
        self.check()
        start = torch.tensor([whole("separator", separator, least=0)])
        pieces = [torch.cat([start, id_row(document, "each document")]) for document in documents]
        self.starts = torch.tensor([0, *(len(piece) for piece in pieces[:-1])]).cumsum(0)
        text = torch.cat(pieces)
        self.length = len(text)
        repeats = -(-context_length // self.length)  # the last windows run on into the first documents
        self.width = context_length + objective.lookahead
        self.tokens = torch.cat([text, *[text] * repeats])[: self.length + self.width]
        self.order = Shuffled(len(documents), seed)

    def rows(self, index: int, generator: torch.Generator) -> Tensor:
        """Windows (B, T + lookahead) from the starts of documents."""
        starts = self.starts[self.order.batch(index, self.batch_size)]  # (B,)
        return self.tokens[starts[:, None] + torch.arange(self.width)]

    def identity(self) -> dict[str, Any]:
        """Settings and documents, for a run to know its checkpoint by."""
        return self.settings() | {"tokens": digest(self.tokens), "starts": digest(self.starts)}


class PromptTargets:
    """Prompts with what should follow them; the loss is computed on target tokens only.

    Args:
        examples: token ids of prompt and target; end the target with the end-of-text token, or the model will not stop.
        batch_size: B, examples in a batch; each batch is as wide as its longest example.
        window: most tokens that the model reads.
        seed: decides the order, a new one in every epoch.
        attributes: for methods that take one, its ids for each example, all equally many.

    Raises:
        ValueError: there are no examples, or one of them has no prompt, no target or is too long.
    """

    former_name = "Completions"
    objective: Objective = CAUSAL_LM

    def __init__(
        self,
        examples: Sequence[tuple[Sequence[int], Sequence[int]]],
        batch_size: int,
        window: int,
        seed: int = 0,
        attributes: Sequence[Sequence[int]] | None = None,
    ):
        if not examples:
            raise ValueError("there are no examples to train on: the list is empty")
        check_sizes(window, batch_size, seed)
        if attributes is not None and len(attributes) != len(examples):
            raise ValueError(f"{len(examples)} examples need as many attributes, not {len(attributes)}")
        for number, (prompt, target) in enumerate(examples):
            id_row([*prompt, *target], f"example {number}")
            if not prompt or not target:
                raise ValueError(
                    f"example {number} has {len(prompt)} prompt tokens and {len(target)} target tokens"
                )
            if len(prompt) + len(target) - 1 > window:
                raise ValueError(
                    f"example {number} has {len(prompt)} + {len(target)} tokens, more than a window of {window} reads: "
                    "shorten its prompt"
                )
        self.examples, self.batch_size, self.attributes, self.seed = examples, batch_size, attributes, seed
        self.order = Shuffled(len(examples), seed)

    def batch(self, index: int) -> Batch:
        """The batch with this index, always the same."""
        return self.collate(self.order.batch(index, self.batch_size).tolist())

    def identity(self) -> dict[str, Any]:
        """Settings, examples and attributes, for a run to know its checkpoint by."""
        told = None if self.attributes is None else digest(self.attributes)
        settings = {"batch_size": self.batch_size, "seed": self.seed}
        return settings | {"examples": digest(self.examples), "attributes": told}

    def in_order(self) -> list[Batch]:
        """All examples once, as they stand: for evaluation."""
        numbers = list(range(len(self.examples)))
        return [self.collate(numbers[at : at + self.batch_size]) for at in numbers[:: self.batch_size]]

    def collate(self, numbers: Sequence[int]) -> Batch:
        """Some examples as one batch, padded on the right."""
        rows = [self.examples[number] for number in numbers]
        width = max(len(prompt) + len(target) for prompt, target in rows) - 1
        tokens = torch.zeros(len(rows), width, dtype=torch.int64)
        targets = torch.full((len(rows), width), IGNORE)
        for row, (prompt, target) in enumerate(rows):
            text = torch.tensor([*prompt, *target])
            tokens[row, : len(text) - 1] = text[:-1]
            targets[row, len(prompt) - 1 : len(text) - 1] = text[len(prompt) :]
        attribute = (
            None if self.attributes is None else torch.tensor([self.attributes[each] for each in numbers])
        )
        return Batch(tokens, targets, attribute)


NextToken = RandomWindows
"""The samplers' former names, by which checkpoints still know them."""
Documents = PackedDocuments
Completions = PromptTargets


class Shuffled:
    """The numbers 0 .. n - 1 over and over, in an order of its own every epoch that depends on the seed alone."""

    def __init__(self, n: int, seed: int):
        self.n, self.seed = n, seed
        self._epoch, self._order = -1, torch.empty(0)

    def batch(self, index: int, size: int) -> Tensor:
        """The numbers (size,) of the batch with this index, counted over all epochs."""
        return torch.tensor([self.number(place) for place in range(index * size, (index + 1) * size)])

    def number(self, place: int) -> int:
        """The number at a place, counted over all epochs."""
        epoch, place = divmod(place, self.n)
        if self._epoch != epoch:
            generator = stream(self.seed, epoch)
            self._epoch, self._order = epoch, torch.randperm(self.n, generator=generator)
        return int(self._order[place])


def check_sizes(n_token: int, batch_size: int, seed: int) -> None:
    """Raise ValueError for windows or batches of nothing, or a seed that is not a whole number."""
    whole("the number of tokens in a window", n_token, least=1)
    whole("batch_size", batch_size, least=1)
    whole("seed", seed)
