"""Scores of a model's answers, from 0 to 1, by the kind of record.

Facts are counted twice: as objects that a text names, and as complete facts that the story world finds when it parses
the text ("Paul owned a bright lamp" does not count in a text in which Lucy lent it).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import regex

from minilm.datasets import (
    KeywordStory,
    LabelledSentence,
    MeaningText,
    Question,
    Record,
    SentencePair,
    TripleText,
)
from minilm.evaluation.controlled import contains_word

ARTICLES = {"a", "an", "the", "some"}
Scores = dict[str, float]


def score(records: Sequence[Record], answers: Sequence[str]) -> Scores:
    """Name of a score -> its mean over all records, or over all their facts.

    Raises:
        ValueError: no records, or not as many answers.
    """
    if not records or len(records) != len(answers):
        raise ValueError(
            f"{len(records)} records and {len(answers)} answers: give one for each, and one at least"
        )
    return SCORES.get(type(records[0]), exact_answers)(records, answers)


def facts_told(records: Sequence[TripleText], texts: Sequence[str]) -> Scores:
    """Share of all facts whose object a text names; and share that the world finds in it, word for word."""
    named, whole = [], []
    for record, text in zip(records, texts, strict=True):
        found = set(parsed(text))
        named += [triple.object in text for triple in record.triples]
        whole += [tuple(triple) in found for triple in record.triples]
    return {"objects told": mean(named), "whole facts told": mean(whole)}


def parsed(text: str) -> Sequence[tuple[str, str, str]]:
    """The facts that a text of the story world tells; none for any other text."""
    from minilm.datasets.tasks.task import the_world

    return the_world().facts_told(text) or ()


def slots_told(records: Sequence[MeaningText], texts: Sequence[str]) -> Scores:
    """Share of all slots whose value a text names."""
    pairs = zip(records, texts, strict=True)
    return {"values told": mean(value in text for record, text in pairs for _, value in record.slots)}


def keywords_met(records: Sequence[KeywordStory], texts: Sequence[str]) -> Scores:
    """Share of texts with all of their keywords."""
    pairs = zip(records, texts, strict=True)
    return {
        "has the keyword": mean(all(contains_word(text, w) for w in each.keywords) for each, text in pairs)
    }


def labels_met(records: Sequence[Record], labels: Sequence[str]) -> Scores:
    """Share of right labels."""
    return {"right": mean(each.target == label for each, label in zip(records, labels, strict=True))}


def exact_answers(records: Sequence[Record], answers: Sequence[str]) -> Scores:
    """Share of answers that are one of the acceptable ones, case, articles and marks aside; and their best F1 in words."""
    pairs = list(zip(records, answers, strict=True))
    exact = mean(any(words(given) == words(each) for each in record.targets) for record, given in pairs)
    return {
        "exact": exact,
        "F1": mean(max(f1(given, each) for each in record.targets) for record, given in pairs),
    }


def f1(given: str, wanted: str) -> float:
    """Harmonic mean of the shares of words that two answers have in common (Rajpurkar et al. 2016; CoQA's score).

    >>> round(f1("the red kite", "a kite"), 3)
    0.667
    """
    ours, theirs = words(given), words(wanted)
    common = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * common / (len(ours) + len(theirs)) if common else float(ours == theirs)


def words(answer: str) -> list[str]:
    """Words in lower case, without articles and marks."""
    return [word for word in regex.findall(r"\w+", answer.lower()) if word not in ARTICLES]


def mean(values: Iterable[float]) -> float:
    """The mean of booleans or numbers."""
    values = list(values)
    return sum(values) / len(values)


SCORES: dict[type[Record], Callable[[Sequence[Any], Sequence[str]], Scores]] = {
    TripleText: facts_told,
    MeaningText: slots_told,
    KeywordStory: keywords_met,
    LabelledSentence: labels_met,
    SentencePair: labels_met,
    Question: exact_answers,
}
"""Kind of record -> how its answers are scored; any other kind by exact answers."""
