"""What the loaders return: one frozen dataclass a shape of data, whichever data set it comes from.

Tuning needs two things of every example, whatever the task: what the model reads and what it should write. So
every record answers `.prompt` (a string) and `.targets` (the acceptable continuations; the first one, `.target`, is
the one to train on).
A set of triples and a set of slots are written alike, `subject : relation : object | ...`, the linearisation of
Li and Liang 2021, section 5.1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

SENTIMENTS = ("negative", "positive")
"""Names of the labels 0 and 1 of a `LabelledSentence`."""

ENTAILMENTS = ("entailment", "neutral", "contradiction")
"""Names of the labels 0, 1 and 2 of a `SentencePair`, in MNLI's order."""


class Triple(NamedTuple):
    """One fact, e.g. `Triple("Alan_Bean", "nationality", "United_States")`."""

    subject: str
    relation: str
    object: str


class Turn(NamedTuple):
    """A question and its acceptable answers, the best first."""

    question: str
    answers: tuple[str, ...]


class Record(ABC):
    """What every example of a task can be asked, whichever task it is."""

    @property
    @abstractmethod
    def prompt(self) -> str:
        """What the model reads."""

    @property
    @abstractmethod
    def targets(self) -> tuple[str, ...]:
        """What it may write, at least one, the best first."""

    @property
    def target(self) -> str:
        """What it is trained to write: the first of the targets."""
        return self.targets[0]


@dataclass(frozen=True)
class TripleText(Record):
    """Facts and the texts that say them (WebNLG's shape)."""

    triples: tuple[Triple, ...]
    """The facts, at least one, in the order given."""
    references: tuple[str, ...]
    """Texts that state all of the facts, at least one."""
    category: str
    """What the facts are about, e.g. "Airport"."""
    seen: bool
    """Whether this category occurs in the training split."""

    def __post_init__(self) -> None:
        if not self.triples or not self.references:
            raise ValueError(
                f"needs a triple and a reference or more, got {self.triples!r}, {self.references!r}"
            )

    @property
    def prompt(self) -> str:
        """`subject : relation : object`, joined by ` | `."""
        return linearise(self.triples)

    @property
    def targets(self) -> tuple[str, ...]:
        """The references."""
        return self.references


@dataclass(frozen=True)
class MeaningText(Record):
    """Slots with values and one text that says them (E2E's shape)."""

    slots: tuple[tuple[str, str], ...]
    """Pairs such as ("food", "Italian"), at least one."""
    reference: str
    """A text that states them."""

    def __post_init__(self) -> None:
        if not self.slots or not self.reference:
            raise ValueError(f"needs a slot and a reference, got {self.slots!r}, {self.reference!r}")

    @property
    def prompt(self) -> str:
        """`slot : value`, joined by ` | `."""
        return linearise(self.slots)

    @property
    def targets(self) -> tuple[str, ...]:
        """The one reference."""
        return (self.reference,)


@dataclass(frozen=True)
class LabelledSentence(Record):
    """A text and whether it is negative or positive (SST-2's shape)."""

    text: str
    """The sentence, or the story."""
    label: int
    """0 negative, 1 positive."""

    def __post_init__(self) -> None:
        if self.label not in (0, 1):
            raise ValueError(f"label must be 0 (negative) or 1 (positive), got {self.label!r}")

    @property
    def prompt(self) -> str:
        """The text."""
        return self.text

    @property
    def targets(self) -> tuple[str, ...]:
        """The label's name."""
        return (SENTIMENTS[self.label],)


@dataclass(frozen=True)
class SentencePair(Record):
    """Two texts and the relation of the second to the first (MNLI's shape)."""

    premise: str
    """The text taken as true."""
    hypothesis: str
    """The text judged in its light."""
    label: int
    """0 entailment, 1 neutral, 2 contradiction."""

    def __post_init__(self) -> None:
        if self.label not in (0, 1, 2):
            raise ValueError(f"label must be 0, 1 or 2 ({', '.join(ENTAILMENTS)}), got {self.label!r}")

    @property
    def prompt(self) -> str:
        """Premise and hypothesis, named."""
        return f"premise: {self.premise}\nhypothesis: {self.hypothesis}"

    @property
    def targets(self) -> tuple[str, ...]:
        """The label's name."""
        return (ENTAILMENTS[self.label],)


@dataclass(frozen=True)
class Question(Record):
    """A question about a document, after the turns before it (one turn of a conversation)."""

    document: str
    """The text asked about."""
    history: tuple[Turn, ...]
    """Earlier turns, oldest first; may be empty."""
    question: str
    """The question."""
    answers: tuple[str, ...]
    """Acceptable answers, at least one, the best first."""

    def __post_init__(self) -> None:
        if not self.answers:
            raise ValueError(f"needs an answer or more to {self.question!r}")

    @property
    def prompt(self) -> str:
        """The document, the history as `Q:` and `A:` lines, the question, and an open `A:`."""
        turns = [f"Q: {turn.question}\nA: {turn.answers[0]}" for turn in self.history]
        return "\n".join([self.document, *turns, f"Q: {self.question}\nA:"])

    @property
    def targets(self) -> tuple[str, ...]:
        """The answers."""
        return self.answers


@dataclass(frozen=True)
class Conversation:
    """A document and the questions asked about it in turn (CoQA's shape)."""

    document: str
    """The text asked about."""
    turns: tuple[Turn, ...]
    """Questions and answers, in order, at least one."""
    source: str
    """Where the document comes from, e.g. "mctest"."""

    def __post_init__(self) -> None:
        if not self.turns:
            raise ValueError("a conversation needs a turn or more")

    def questions(self, history: int = 2) -> Iterator[Question]:
        """One `Question` a turn, each with at most `history` turns before it.

        Raises:
            ValueError: `history` is negative.
        """
        if history < 0:
            raise ValueError(f"history must be 0 or more turns, got {history}")
        for index, turn in enumerate(self.turns):
            before = self.turns[max(0, index - history) : index]
            yield Question(self.document, before, turn.question, turn.answers)


@dataclass(frozen=True)
class KeywordStory(Record):
    """Keywords and a story that contains them (the task of auxiliary tuning)."""

    keywords: tuple[str, ...]
    """The words asked for, at least one, as the attribute of the story names them."""
    text: str
    """The story."""

    def __post_init__(self) -> None:
        if not self.keywords or isinstance(self.keywords, str):
            raise ValueError(f"needs a tuple of one keyword or more, got {self.keywords!r}")

    @property
    def prompt(self) -> str:
        """The keywords, joined by `, `."""
        return ", ".join(self.keywords)

    @property
    def targets(self) -> tuple[str, ...]:
        """The story."""
        return (self.text,)


@dataclass(frozen=True)
class StoryDocument(Record):
    """A document of the story world, cut where its target begins; the space between the two is the target's."""

    before: str
    """Everything before the target."""
    after: str
    """The target, as it continues the prompt."""
    facts: tuple[Triple, ...]
    """What its story tells, in order."""
    kind: str
    """The kind of document."""

    @property
    def prompt(self) -> str:
        """The document up to its target."""
        return self.before

    @property
    def targets(self) -> tuple[str, ...]:
        """The rest of the document."""
        return (self.after,)


def linearise(items: tuple[tuple[str, ...], ...]) -> str:
    """Tuples as one line: parts joined by ` : `, tuples by ` | `."""
    return " | ".join(" : ".join(item) for item in items)
