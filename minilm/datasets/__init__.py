"""Data sets: real ones, tasks made from the storyworld, and your own files, all read by one function, `load`.

from minilm import datasets
datasets.names()
print(datasets.card("webnlg"))            # origin, licence, splits, SHA-256 of each file
entries = datasets.load("webnlg", split="dev")
stories = datasets.load("storyworld")     # generated, as every storyworld-... task is
text = datasets.load("my_diary.txt")
"""

from minilm.datasets.integrity import DataError
from minilm.datasets.records import (
    ENTAILMENTS,
    SENTIMENTS,
    Conversation,
    KeywordStory,
    LabelledSentence,
    MeaningText,
    Question,
    Record,
    SentencePair,
    Triple,
    TripleText,
    Turn,
)
from minilm.datasets.registry import Card, DataFile, card, names
from minilm.datasets.shelf import load, plain_text

__all__ = [
    "ENTAILMENTS",
    "SENTIMENTS",
    "Card",
    "Conversation",
    "DataError",
    "DataFile",
    "KeywordStory",
    "LabelledSentence",
    "MeaningText",
    "Question",
    "Record",
    "SentencePair",
    "Triple",
    "TripleText",
    "Turn",
    "card",
    "load",
    "names",
    "plain_text",
]
