"""The task that the tuning lessons share: facts in, a sentence or two that tell them out.

It is WebNLG's task in small, on which prefix-tuning and LoRA were introduced, made from the story world:

    Tom : owned : purple cup | Tom : went to : park =   One misty afternoon, Tom Park hopped to the park with his ...
"""

from __future__ import annotations

from collections.abc import Sequence

from minilm import BPETokenizer, complete, datasets
from minilm.datasets import TripleText
from minilm.evaluation.perplexity import mean_loss
from minilm.objectives import Completions

Example = tuple[list[int], list[int]]
"""Token ids of prompt and target."""

LONGEST = 60
"""Tokens that a model may write before it is cut off; the longest targets have about as many."""
BATCH_SIZE = 8


class FactsToText:
    """Examples of the task, and what a model makes of those that it was not trained on.

    Args:
        tokenizer: of the model that is tuned.
        n_train, n_held_out: examples of each kind.
        facts: the most facts in one example.
    """

    def __init__(self, tokenizer: BPETokenizer, n_train: int = 400, n_held_out: int = 48, facts: int = 2):
        self.tokenizer = tokenizer
        self.records: list[TripleText] = datasets.load("storyworld-triples", "train", n=n_train, facts=facts)
        self.held_out: list[TripleText] = datasets.load(
            "storyworld-triples", "dev", n=n_held_out, facts=facts
        )

    def encode(self, record: TripleText) -> Example:
        """End-of-text, as before every story, the facts and " ="; then the text, and the end-of-text token that ends it."""
        end, encode = self.tokenizer.end_of_text, self.tokenizer.encode
        return [end, *encode(f"{record.prompt} =")], [*encode(f" {record.target}"), end]

    def examples(self, records: Sequence[TripleText]) -> list[Example]:
        """All of them as token ids."""
        return [self.encode(record) for record in records]

    def batches(self, window: int, batch_size: int = BATCH_SIZE) -> Completions:
        """Batches to train on, for a model that reads `window` tokens."""
        return Completions(self.examples(self.records), batch_size, window)

    def loss(self, model) -> float:
        """Mean loss on the held-out targets, in nats per token."""
        return mean_loss(model, Completions(self.examples(self.held_out), 16, model.window).in_order())

    def write(self, model, records: Sequence[TripleText]) -> list[str]:
        """What a model makes of the facts, always taking the likeliest token."""
        prompts = [self.encode(record)[0] for record in records]
        written = complete(model, prompts, LONGEST, stop_token=self.tokenizer.end_of_text)
        return [self.tokenizer.decode(ids).strip() for ids in written]

    def told(self, model, records: Sequence[TripleText] | None = None) -> float:
        """Share of the held-out facts whose object the model's text names."""
        records = self.held_out if records is None else records
        return share_told(records, self.write(model, records))

    def sample(self, model) -> str:
        """What a model makes of the first held-out facts, for a dashboard."""
        return self.held_out[0].prompt + "\n" + self.write(model, self.held_out[:1])[0]


def share_told(records: Sequence[TripleText], texts: Sequence[str]) -> float:
    """Share of all facts whose object stands in the text written for them."""
    found = [
        triple.object in text
        for record, text in zip(records, texts, strict=True)
        for triple in record.triples
    ]
    return sum(found) / len(found)
