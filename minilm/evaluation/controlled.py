"""Metrics for controlled generation: attribute accuracy, fluency (SLOR), and the share of samples the grammar can generate.

Accuracy is the share of samples that contain their keyword. SLOR (Pauls & Klein 2012; Kann et al. 2018) is
fluency as another model judges it, corrected for the text's length and for how rare its words are:

    SLOR(S) = (ln p_M(S) - ln p_unigram(S)) / |S|

The share of possible texts needs a world with an oracle: it counts the samples to which the grammar gives a
probability above 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import regex

from minilm.evaluation.log_probs import text_log_prob
from minilm.evaluation.ngram import NGramModel
from minilm.storyworld import Oracle
from minilm.storyworld.world import Attribute

__all__ = ["check_pairs", "contains_word", "keyword_accuracy", "share_possible", "slor", "text_log_prob"]


def contains_word(text: str, word: str) -> bool:
    """Whether a word occurs in a text, on its own and in either case.

    >>> contains_word("However, she left.", "however"), contains_word("sooner", "soon")
    (True, False)
    """
    return regex.search(rf"\b{regex.escape(word)}\b", text, regex.IGNORECASE) is not None


def keyword_accuracy(texts: Sequence[str], keywords: Sequence[str | Sequence[str]]) -> float:
    """Share of texts that contain their keyword, or all of several.

    >>> keyword_accuracy(["Then it rained.", "It was late."], ["then", "soon"])
    0.5

    Raises:
        ValueError: no texts, or not as many keywords as texts.
    """
    check_pairs(texts, keywords, "keywords")
    wanted = [(each,) if isinstance(each, str) else each for each in keywords]
    hits = [
        all(contains_word(text, word) for word in words) for text, words in zip(texts, wanted, strict=True)
    ]
    return sum(hits) / len(hits)


def share_possible(
    oracle: Oracle, texts: Sequence[str], attributes: Sequence[Attribute | None] | None = None
) -> float:
    """Share of complete texts with a probability above 0 in the world, each given its attribute if it has one.

    Raises:
        ValueError: no texts, or not as many attributes as texts.
    """
    attributes = [None] * len(texts) if attributes is None else attributes
    check_pairs(texts, attributes, "attributes")
    possible = [
        oracle.log_prob(text, attribute) > float("-inf")
        for text, attribute in zip(texts, attributes, strict=True)
    ]
    return sum(possible) / len(possible)


def slor(
    judge: Callable[[Sequence[int]], float], unigram: NGramModel, texts: Sequence[Sequence[int]]
) -> list[float]:
    """SLOR of each text, in nats per token.

    Args:
        judge: ln p_M of a text, of a model other than the one that wrote it: the `log_prob` of an n-gram model, or
            `lambda text: text_log_prob(model, [start, *text])`.
        unigram: counts of the corpus, with n = 1.
        texts: token ids.

    Raises:
        ValueError: an empty text, or counts of more than single tokens.
    """
    if unigram.n != 1:
        raise ValueError(f"SLOR divides by a unigram model, not one with n={unigram.n}")
    if not all(texts):
        raise ValueError("SLOR is a mean over tokens, and one of the texts has none")
    return [(judge(text) - unigram.log_prob(text)) / len(text) for text in texts]


def check_pairs(texts: Sequence[str], partners: Sequence[object], name: str) -> None:
    """Raise ValueError unless there are texts, and as many partners."""
    if not texts or len(texts) != len(partners):
        raise ValueError(
            f"{len(texts)} texts and {len(partners)} {name}: give one for each, and one at least"
        )
