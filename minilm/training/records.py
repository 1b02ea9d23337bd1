"""What a run reports: its settings before the first step, every step, every evaluation, the result."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, overload

from minilm.training.config import TrainingConfig


@dataclass(frozen=True)
class StepRecord:
    """One optimiser step."""

    step: int
    """1 for the first."""
    steps: int
    """Total number of steps."""
    loss: float
    """Loss of the batch before the step, in nats per target."""
    learning_rate: float
    """AdamW's learning rate at this step."""
    gradient_norm: float
    """Norm of the gradient before clipping."""
    tokens_per_second: float
    """Tokens read in this step, divided by its time."""
    seconds: float
    """Time since the run began."""


@dataclass(frozen=True)
class EvaluationRecord:
    """One look at held-out text."""

    step: int
    """Steps taken before it."""
    loss: float | None
    """Loss in nats per token; None if no `evaluate` was given."""
    sample: str | None = None
    """A text the model made."""


class Records(Sequence[StepRecord]):
    """Step records, kept in columns: 56 bytes a step, so that a million of them take 56 MB and not 400."""

    def __init__(self, records: Iterable[StepRecord] = ()):
        whole = ("step", "steps")
        self._columns: dict[str, array[Any]] = {
            each.name: array("q" if each.name in whole else "d") for each in fields(StepRecord)
        }
        if isinstance(records, Records):
            self._columns = {name: column[:] for name, column in records._columns.items()}
            return
        for record in records:
            self.append(record)

    def append(self, record: StepRecord) -> None:
        """One more record, at the end."""
        for name, column in self._columns.items():
            column.append(getattr(record, name))

    def rows(self, names: Sequence[str]) -> Iterator[tuple[float, ...]]:
        """Some fields of every record."""
        return zip(*(self._columns[name] for name in names), strict=True)

    def extend(self, rows: Sequence[Sequence[float]], names: Sequence[str], steps: int) -> None:
        """More records of a run of so many steps, from the rows of all their other fields."""
        for place, name in enumerate(names):
            self._columns[name].extend([row[place] for row in rows])
        self._columns["steps"].extend([steps] * len(rows))

    def copy(self) -> Records:
        """The same records, of which later additions here are not part."""
        return Records(self)

    def __len__(self) -> int:
        return len(self._columns["step"])

    @overload
    def __getitem__(self, place: int) -> StepRecord: ...
    @overload
    def __getitem__(self, place: slice) -> Records: ...
    def __getitem__(self, place: int | slice) -> StepRecord | Records:
        if not isinstance(place, slice):
            return StepRecord(*(column[place] for column in self._columns.values()))
        part = Records()
        part._columns = {name: column[place] for name, column in self._columns.items()}
        return part

    def __iter__(self) -> Iterator[StepRecord]:
        return map(StepRecord, *self._columns.values())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(map(StepRecord.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]  # it grows

    def __repr__(self) -> str:
        return f"<{len(self)} step records>"


@dataclass(frozen=True)
class RunInfo:
    """What is known before the first step."""

    config: TrainingConfig
    n_parameter: int
    """Parameters that will be trained."""
    device: str
    first_step: int = 0
    """Steps that an earlier part of the run has taken."""
    records: Sequence[StepRecord] = ()
    """Their records."""


@dataclass
class TrainingResult:
    """What a run leaves behind, besides the trained model."""

    steps: int = 0
    """Optimiser steps taken, earlier parts of a resumed run included."""
    records: Sequence[StepRecord] = field(default_factory=Records)
    """One for every step."""
    evaluations: list[EvaluationRecord] = field(default_factory=list)
    """One for every evaluation."""
    stopped: bool = False
    """Whether it was stopped from outside before its last step."""
    stopped_early: bool = False
    """Whether it ended because held-out text was no longer predicted better (`TrainingConfig.patience`)."""
    seconds: float = 0.0
    """Time it took, earlier parts included."""

    @property
    def loss(self) -> float:
        """Mean training loss of the last steps (at most 20), in nats per target."""
        last = [record.loss for record in self.records[-20:]]
        return sum(last) / len(last) if last else float("nan")

    def add(self, record: StepRecord) -> None:
        """One more step was taken."""
        if not isinstance(self.records, Records):
            self.records = Records(self.records)
        self.records.append(record)
        self.steps += 1

    def as_dict(self) -> dict[str, Any]:
        """Lists, texts and numbers, as JSON holds them."""
        return asdict(replace(self, records=[])) | {"records": [asdict(record) for record in self.records]}
