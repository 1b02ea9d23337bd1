"""Rows of the reader's own table as prompts with targets, to tune on.

A CSV, TSV or JSON Lines file has one example a row; two of its columns hold what the model reads and what it should
write. They are called `prompt` and `target`, or are named by the caller, or are the only two columns there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from minilm.datasets.records import Record

USUAL = ("prompt", "target")
"""The columns that are looked for when none are named."""


@dataclass(frozen=True)
class Pair(Record):
    """A prompt and its target, whatever they are about."""

    given: str
    """What the model reads; may be empty, where it should learn to write such texts from nothing."""
    wanted: str
    """What it should write, not empty."""

    def __post_init__(self) -> None:
        if not self.wanted.strip():
            raise ValueError(
                f"a target must not be empty, but that of {self.given[:60]!r} is {self.wanted!r}"
            )

    @property
    def prompt(self) -> str:
        """The text given."""
        return self.given

    @property
    def targets(self) -> tuple[str, ...]:
        """The one text wanted."""
        return (self.wanted,)


def pairs(
    rows: Sequence[Mapping[str, Any]], columns: tuple[str, str] | None = None, source: str = "the table"
) -> list[Pair]:
    """The rows of a table as records that can be tuned on.

    Args:
        columns: names of the prompt's and the target's column; None as the module's docstring says.
        source: what to call the table in an error, for instance its file.

    Raises:
        ValueError: there is no such column, it is not clear which column is which, or a cell is empty or not a text.
    """
    if not rows:
        raise ValueError(f"{source} must have at least one row to tune on, not none")
    prompt, target = choose(list(rows[0]), columns, source)
    return [
        Pair(cell(row, prompt, number, source), filled_cell(row, target, number, source))
        for number, row in enumerate(rows, start=1)
    ]


def choose(there: list[str], columns: tuple[str, str] | None, source: str) -> tuple[str, str]:
    """The prompt's and the target's column."""
    if columns is None and set(USUAL) <= set(there):
        return USUAL
    if columns is None and len(there) == 2:
        return there[0], there[1]
    if columns is None:
        raise ValueError(
            f"{source} has the columns {', '.join(there)}: say which two hold prompt and target, columns=(..., ...)"
        )
    if isinstance(columns, str) or len(columns) != 2:
        raise ValueError(f"columns must be two names, of prompt and target, not {columns!r}")
    for name in columns:
        if name not in there:
            raise ValueError(f"{source} has no column {name!r}: its columns are {', '.join(there)}")
    return columns[0], columns[1]


def cell(row: Mapping[str, Any], column: str, number: int, source: str) -> str:
    """The text in a cell; a number is written out."""
    if column not in row:
        raise ValueError(f"{source}, row {number}: there is no {column!r}, only {', '.join(row)}")
    value = row[column]
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{source}, row {number}: {column} must be a text, not {value!r}")
    return str(value)


def filled_cell(row: Mapping[str, Any], column: str, number: int, source: str) -> str:
    """The text in a cell that must not be empty."""
    text = cell(row, column, number, source)
    if not text.strip():
        raise ValueError(
            f"{source}, row {number}: {column} is empty: write what the model should write there"
        )
    return text
