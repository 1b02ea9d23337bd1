"""How a record becomes text: the marks around its prompt and before its target.

    <|endoftext|> before PROMPT after | answer TARGET <|endoftext|>

The model reads what is left of the bar and learns to write what is right of it. The marks should be made of
tokens that the base has met: a frozen base cannot tell tokens apart that it has never met.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from minilm.datasets import (
    KeywordStory,
    LabelledSentence,
    MeaningText,
    Question,
    Record,
    SentencePair,
    TripleText,
)
from minilm.datasets.pairs import Pair


@dataclass(frozen=True)
class Template:
    """The marks around a prompt and before a target.

    Raises:
        ValueError: a mark is not a text, or nothing parts the target from its prompt.
    """

    before: str = ""
    """Before the prompt."""
    after: str = " ="
    """After the prompt: what says that it is over."""
    answer: str = " "
    """Before the target; a space or a new line, so that no word of the prompt runs into it."""
    between: str = "\n"
    """Between the solved examples of a few-shot prompt."""
    words: Mapping[str, str] = field(default_factory=dict)
    """Targets that are written otherwise: a label such as "positive" -> a word that the base knows."""

    def __post_init__(self) -> None:
        for name in ("before", "after", "answer", "between"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a text, not {getattr(self, name)!r}")

    def prompt(self, record: Record | str) -> str:
        """The text that the model reads: for a record, or for a prompt alone."""
        prompt = record if isinstance(record, str) else record.prompt
        return f"{self.before}{prompt}{self.after}"

    def target(self, record: Record | str) -> str:
        """The text that it should write."""
        target = record if isinstance(record, str) else record.target
        return f"{self.answer}{self.words.get(target, target)}"

    def read(self, written: str) -> str:
        """The target that a text written by the model means."""
        text = written.strip()
        return next((label for label, word in self.words.items() if word == text), text)


PLAIN = Template(after="", answer="")
"""Nothing around it: for records that have no prompt."""

TEMPLATES: dict[type[Record], Template] = {
    TripleText: Template(),
    MeaningText: Template(),
    LabelledSentence: Template(words={"negative": "sad", "positive": "happy"}),
    SentencePair: Template(words={"entailment": "yes", "neutral": "maybe", "contradiction": "no"}),
    Question: Template(after=""),
    KeywordStory: Template(),
    Pair: Template(),
}
"""Kind of record -> its usual template."""


def usual_template(record: Record) -> Template:
    """The template for records of this kind."""
    return TEMPLATES.get(type(record), Template()) if record.prompt else PLAIN
