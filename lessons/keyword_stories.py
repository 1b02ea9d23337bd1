"""The task of lesson 8: a keyword goes in, a story that contains it comes out (Zeldes et al. 2020, section 4)."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from minilm import BPETokenizer, complete, generate
from minilm.adaptation import EncodedTask, Template
from minilm.datasets import KeywordStory
from minilm.datasets.tasks.task import split_of
from minilm.evaluation.controlled import keyword_accuracy, share_possible, slor
from minilm.evaluation.logit_shift import Asked
from minilm.evaluation.ngram import NGramModel
from minilm.generation.few_shot import few_shot_prompt
from minilm.objectives import Completions
from minilm.steering import PPLM
from minilm.storyworld import Oracle, StoryWorld
from minilm.storyworld.world import Attribute
from minilm.tuning import encode_attributes

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "auxiliary.json"
"""What `benchmarks/auxiliary.py` measured, if it has been run."""
TOP_P = 0.95
"""All models sample from the tokens that hold this much of the probability, so that a rare slip does not decide."""
N_BRIEF = 40
"""Few-shot prompts show some of so many shortest stories: long ones leave no room for a second."""


class TaskOracle(Oracle):
    """The exact distributions before and after: any document of the world, and a story that has its attribute.

    The base has read documents of all kinds, and the task asks for a story with a keyword. So the shift has two parts,
    "this will be a story" and "it will have the keyword", and by Bayes' rule it is again a ratio of posteriors.
    """

    def __init__(self, tokenizer: BPETokenizer):
        super().__init__(StoryWorld(), tokenizer)
        self.stories = Oracle(self.world.only("story"), tokenizer)

    def log_probs(self, ids: Sequence[int] | Tensor, attribute: Attribute | None = None) -> Tensor:
        """log P(x_t | x_<t) of all documents, or that of stories with the attribute: (T + 1, vocab), in nats."""
        return super().log_probs(ids) if attribute is None else self.stories.log_probs(ids, attribute)

    def posterior(self, ids: Sequence[int] | Tensor, attribute: Attribute) -> Tensor:
        """P(the document is a story and has the attribute | x_<t): (T + 1,)."""
        story = super().posterior(ids, ("kind", "story"))
        return torch.where(story == 0, story, story * self.stories.posterior(ids, attribute))

    def floor_of(self, records: Sequence[KeywordStory]) -> float:
        """The mean loss in nats per token that a perfect model has on stories whose keyword it is told."""
        paths = [(self.stories.log_prob(each.text, keyword_of(each)), each.text) for each in records]
        return -sum(nats for nats, _ in paths) / sum(len(self.encode(text)) for _, text in paths)


def keyword_of(record: KeywordStory) -> Attribute:
    """A record's keyword as oracles are asked for it."""
    return "keyword", record.keywords[0]


class KeywordStories:
    """Stories with a keyword each: told beside the text to auxiliary models, written before it for all others.

    Args:
        tokenizer: of the base.
        keywords: those that are asked for, each equally often.
        n_train, n_held_out: stories of each kind.
    """

    def __init__(
        self, tokenizer: BPETokenizer, keywords: Sequence[str], n_train: int = 4000, n_held_out: int = 200
    ):
        self.tokenizer, self.keywords = tokenizer, tuple(keywords)
        self.world = StoryWorld().only("story")
        self.records = self.draw("train", n_train)
        self.held_out = self.draw("test", n_held_out)
        self.in_text = EncodedTask(
            tuple(self.records), tuple(self.held_out), tokenizer, Template(), "stories with a keyword"
        )
        """The same task with the keyword in the text: `because = Once ...`, a notation that the base has not read."""
        rows = encode_attributes(tokenizer, [f" {keyword}" for keyword in self.keywords])
        self.ids: dict[str, Tensor] = dict(zip(self.keywords, rows, strict=True))
        """The tokens (m,) of each keyword."""
        self.longest = max(len(self.encode(record)) for record in (*self.records, *self.held_out))
        """Tokens that a model may write before it is cut off."""

    def draw(self, split: str, n: int) -> list[KeywordStory]:
        """n stories of a split, each from the exact law of those that have its keyword; the keywords take turns."""
        share = -(-n // len(self.keywords))  # rounded up
        parts = [list(islice(self.stories_with(word, split), share)) for word in self.keywords]
        records = [record for turn in zip(*parts, strict=True) for record in turn][:n]
        if split == "train":
            random.Random(0).shuffle(records)
        return records

    def stories_with(self, keyword: str, split: str) -> Iterator[KeywordStory]:
        """Stories of a split that have a keyword, without end."""
        for block in count():
            seed = random.Random(f"{keyword}/{block}").getrandbits(48)
            for story in self.world.sample(64, seed=seed, attribute=("keyword", keyword)):
                if split_of(story.text) == split:
                    yield KeywordStory((keyword,), story.text)

    def encode(self, record: KeywordStory) -> list[int]:
        """The story and the end-of-text token that ends it."""
        return [*self.tokenizer.encode(record.text), self.tokenizer.end_of_text]

    def tell(self, keywords: Sequence[str]) -> Tensor:
        """The attribute (B, m) that asks for a keyword in each row."""
        return torch.stack([self.ids[keyword] for keyword in keywords])

    def batches(
        self, window: int, batch_size: int = 32, records: Sequence[KeywordStory] = (), seed: int = 0
    ) -> Completions:
        """Stories after an end-of-text token, with the keyword as their attribute."""
        records = records or self.records
        examples = [([self.tokenizer.end_of_text], self.encode(record)) for record in records]
        told = [self.ids[record.keywords[0]].tolist() for record in records]
        return Completions(examples, batch_size, window, seed, told)

    def asked(self) -> list[Asked]:
        """The held-out stories, to compare the learned shift with the exact one."""
        return [
            Asked(self.tokenizer.encode(each.text), keyword_of(each), self.ids[each.keywords[0]])
            for each in self.held_out
        ]

    def wanted(self, n: int) -> list[str]:
        """n keywords, each as often as the others."""
        return [self.keywords[number % len(self.keywords)] for number in range(n)]

    def write(self, model, keywords: Sequence[str], in_text: bool = False, seed: int = 0) -> list[str]:
        """A story that a model makes for each keyword, which it is told as an attribute, or in the text."""
        if in_text:
            return self.go_on(model, [self.in_text.prompt_ids(keyword) for keyword in keywords], seed)
        return self.write_told(model, self.tell(keywords), seed)

    def write_told(self, model, attribute: Tensor, seed: int = 0) -> list[str]:
        """A story for each row of an attribute (B, m); a model that takes none is told nothing."""
        end = self.tokenizer.end_of_text
        start = torch.full((len(attribute), 1), end)
        told = attribute.to(model.device) if model.takes_attribute else None
        rows = generate(model, start, self.longest, top_p=TOP_P, seed=seed, stop_token=end, attribute=told)
        return [self.until_end(row) for row in rows[:, 1:].tolist()]

    def go_on(self, model, prompts: Sequence[Sequence[int]], seed: int) -> list[str]:
        """What a model writes after prompts of any lengths, up to the end of a story."""
        end, room = self.tokenizer.end_of_text, min(self.longest, model.window - max(map(len, prompts)) + 1)
        rows = complete(model, prompts, room, temperature=1.0, top_p=TOP_P, seed=seed, stop_token=end)
        return [self.tokenizer.decode(row).strip() for row in rows]

    def write_after_examples(self, model, keywords: Sequence[str], seed: int = 0) -> list[str]:
        """The same from a few-shot prompt: stories behind their keywords, then the keyword that is asked for."""
        prompts = [self.few_shot(model, word, turn) for turn, word in enumerate(keywords)]
        mark = self.in_text.template.between  # after its story, the base goes on with another example
        return [text.partition(mark)[0] for text in self.go_on(model, prompts, seed)]

    def few_shot(self, model, keyword: str, turn: int = 0) -> list[int]:
        """As many of the shortest stories as fit, others at each turn, then the keyword; in token ids."""
        brief = sorted(self.records, key=lambda record: len(record.text))[:N_BRIEF]
        at = 3 * turn % len(brief)
        encoded = self.in_text.examples([*brief[at:], *brief[:at]])
        solved = [(prompt[1:], target[:-1]) for prompt, target in encoded]
        start, *asked = self.in_text.prompt_ids(keyword)
        mark = self.tokenizer.encode(self.in_text.template.between)
        return [start, *few_shot_prompt(solved, asked, mark, model.window - self.longest)]

    def steer(self, model, keywords: Sequence[str], pplm: PPLM, seed: int = 0) -> list[str]:
        """The same by PPLM, with the keyword, in lower and upper case, as its bag of words."""
        written = {
            word: iter(self.steer_to(model, word, keywords.count(word), pplm, seed)) for word in set(keywords)
        }
        return [next(written[word]) for word in keywords]

    def steer_to(self, model, keyword: str, n: int, pplm: PPLM, seed: int) -> list[str]:
        """n stories that PPLM draws towards a keyword."""
        end, encode = self.tokenizer.end_of_text, self.tokenizer.encode
        bag = [encode(f" {keyword}")[0], encode(f" {keyword.capitalize()}")[0]]
        rows = pplm.generate(model, torch.full((n, 1), end), bag, self.longest, seed=seed, stop_token=end)
        return [self.until_end(row) for row in rows[:, 1:].tolist()]

    def until_end(self, ids: list[int]) -> str:
        """The text before the first end-of-text token, or all of it."""
        end = self.tokenizer.end_of_text
        return self.tokenizer.decode(ids[: ids.index(end)] if end in ids else ids)


class Judge:
    """Scores stories that were written to order.

    Args:
        task: whose stories they are.
        n_document: documents of all kinds from which the n-gram models of SLOR are counted.
    """

    def __init__(self, task: KeywordStories, n_document: int = 2000):
        tok = task.tokenizer
        self.oracle = Oracle(task.world, tok)
        documents = StoryWorld().sample(n_document, seed=1)
        stream = [token for each in documents for token in self.oracle.encode(each.text)]
        self.judge, self.unigram = (NGramModel(stream, tok.vocab_size, n=n) for n in (5, 1))

    def score(self, texts: Sequence[str], keywords: Sequence[str | Sequence[str]]) -> dict[str, float]:
        """Share with the keyword, share that the world could tell, share with both, and SLOR in nats per token."""
        fluency = slor(self.judge.log_prob, self.unigram, [self.oracle.encode(text) for text in texts])
        pairs = list(zip(texts, keywords, strict=True))
        told = [keyword_accuracy([text], [keyword]) for text, keyword in pairs]
        possible = [share_possible(self.oracle, [text]) for text in texts]
        return {
            "has the keyword": sum(told) / len(told),
            "possible": sum(possible) / len(possible),
            "both": sum(a * b for a, b in zip(told, possible, strict=True)) / len(told),
            "SLOR": sum(fluency) / len(fluency),
        }


def interval(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's 95% interval of a share of n samples.

    >>> tuple(round(end, 3) for end in interval(0.9, 200))
    (0.851, 0.934)
    """
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * (share * (1 - share) / n + z**2 / (4 * n**2)) ** 0.5
    return max(middle - half, 0.0), min(middle + half, 1.0)


def measured() -> dict[str, list[dict[str, Any]]]:
    """The rows of the benchmark, one for each seed, by name; none if it has not been run."""
    if not RESULTS.is_file():
        return {}
    rows: dict[str, list[dict[str, Any]]] = {}
    for key, row in json.loads(RESULTS.read_text(encoding="utf-8"))["cells"].items():
        rows.setdefault(key.rpartition(", seed ")[0], []).append(row)
    return rows
