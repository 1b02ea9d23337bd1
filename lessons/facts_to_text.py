"""The task that the tuning lessons share: facts in, a sentence or two that tell them out.

It is WebNLG's task in small, on which prefix-tuning and LoRA were introduced, made from the story world:

    Tom : owned : purple cup | Tom : went to : park =   One misty afternoon, Tom Park hopped to the park with his ...
"""

from __future__ import annotations

from collections.abc import Sequence

from minilm import BPETokenizer
from minilm.adaptation import EncodedTask, task_from
from minilm.adaptation.scores import score
from minilm.datasets import TripleText
from minilm.storyworld import StoryWorld

LONGEST = 60
"""Tokens that a model may write before it is cut off; the longest targets have about as many."""


class FactsToText(EncodedTask):
    """Examples of the task, and what a model makes of those that it was not trained on.

    Args:
        tokenizer: of the model that is tuned.
        n_train, n_held_out: examples of each kind.
        facts: the most facts in one example.
    """

    def __init__(self, tokenizer: BPETokenizer, n_train: int = 400, n_held_out: int = 48, facts: int = 2):
        stories = StoryWorld("stories")
        task = task_from(
            "storyworld-triples",
            tokenizer,
            n_train=n_train,
            n_held_out=n_held_out,
            facts=facts,
            world=stories,
        )
        super().__init__(task.records, task.held_out, tokenizer, task.template, task.name)

    def told(self, model, records: Sequence[TripleText] | None = None) -> float:
        """Share of the held-out facts whose object the model's text names."""
        records = self.held_out if records is None else records
        return share_told(records, self.write(model, records, LONGEST))

    def sample(self, model) -> str:
        """What a model makes of the first held-out facts, for a dashboard."""
        return self.held_out[0].prompt + "\n" + self.write(model, self.held_out[:1], LONGEST)[0]


def share_told(records: Sequence[TripleText], texts: Sequence[str]) -> float:
    """Share of all facts whose object stands in the text written for them."""
    return score(records, texts)["objects told"]
