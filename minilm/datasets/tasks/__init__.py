"""Tasks made from the story world: real data sets in small, with a known truth and options for how hard they are.

    load("storyworld")                                    stories, to pretrain on
    load("storyworld-keywords", count=2)                  stories that contain given words
    load("storyworld-triples", facts=6)                   facts to text; plots kept out of training
    load("storyworld-questions", stories=8)               questions about a long document
    load("storyworld-sentiment", sentences=3)             will it end well?
    load("storyworld-entailment", passages=3)             does one sentence follow from another?
    load("storyworld-documents", kind="facts first")      any kind of document, in any notation

`task` says how examples are drawn and kept apart; every other module is one task, a dataclass whose fields are the options.
"""

from __future__ import annotations

from minilm.datasets.tasks.documents import StoryDocuments
from minilm.datasets.tasks.entailment import StoryEntailment
from minilm.datasets.tasks.keywords import KeywordStories
from minilm.datasets.tasks.questions import StoryQuestions
from minilm.datasets.tasks.sentiment import StorySentiment, best_accuracy, posteriors
from minilm.datasets.tasks.stories import Stories
from minilm.datasets.tasks.task import Task, split_of
from minilm.datasets.tasks.triples import StoryTriples

TASKS: dict[str, type[Task]] = {
    "storyworld": Stories,
    "storyworld-keywords": KeywordStories,
    "storyworld-triples": StoryTriples,
    "storyworld-questions": StoryQuestions,
    "storyworld-sentiment": StorySentiment,
    "storyworld-entailment": StoryEntailment,
    "storyworld-documents": StoryDocuments,
}
"""Name for `minilm.datasets.load` -> the task; its fields are the options."""

__all__ = [
    "TASKS",
    "KeywordStories",
    "Stories",
    "StoryDocuments",
    "StoryEntailment",
    "StoryQuestions",
    "StorySentiment",
    "StoryTriples",
    "Task",
    "best_accuracy",
    "posteriors",
    "split_of",
]
